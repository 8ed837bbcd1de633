"""DoRA: m * V / |V| with V = W + s B A, norms by row. Liu and others 2024 (arXiv 2402.09353)."""

from functools import partial

from workers.peft_methods.hf_layers import HfMethod
from workers.peft_methods.lora import low_rank

METHOD = HfMethod(partial(low_rank, use_dora=True), copies_weights=True)
