"""HRA: W H_1 ... H_rank, Householder reflections. Yuan and others 2024 (arXiv 2405.17484)."""

import peft as hf

from workers.peft_methods.hf_layers import HfMethod

METHOD = HfMethod(lambda settings, targets: hf.HRAConfig(r=settings.rank, target_modules=targets.names))
