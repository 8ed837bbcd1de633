"""MiSS: W x + D (sum of pieces of x of length rank). Kang and Yin 2024 (arXiv 2409.15371)."""

import peft as hf

from workers.peft_methods.hf_layers import HfMethod

METHOD = HfMethod(lambda settings, targets: hf.MissConfig(r=settings.rank, target_modules=targets.names))
