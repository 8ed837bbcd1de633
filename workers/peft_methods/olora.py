"""OLoRA: as PiSSA, with B0 and A0 from a QR factorisation of W. Büyükakyüz 2024 (arXiv 2406.01775)."""

from dataclasses import replace
from functools import partial

from workers.peft_methods import pissa
from workers.peft_methods.lora import low_rank

METHOD = replace(pissa.METHOD, configuration=partial(low_rank, init_lora_weights="olora"))
