"""rsLoRA: LoRA scaled by alpha / sqrt(rank). Kalajdzievski 2023 (arXiv 2312.03732)."""

from functools import partial

from workers.peft_methods.hf_layers import HfMethod
from workers.peft_methods.lora import low_rank

METHOD = HfMethod(partial(low_rank, use_rslora=True))
