"""LoHa: W + s (B1 A1) * (B2 A2), a Hadamard product. Hyeon-Woo and others 2021 (arXiv 2108.06098)."""

import peft as hf

from workers.peft_methods.hf_layers import HfMethod

METHOD = HfMethod(
    lambda settings, targets: hf.LoHaConfig(
        r=settings.rank, alpha=settings.alpha, target_modules=targets.names
    )
)
