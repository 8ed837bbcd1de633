"""LoKr: W + s C (x) (B A), a Kronecker product. Yeh and others 2023 (arXiv 2309.14859)."""

import peft as hf

from workers.peft_methods.hf_layers import HfMethod

METHOD = HfMethod(
    lambda settings, targets: hf.LoKrConfig(
        r=settings.rank, alpha=settings.alpha, target_modules=targets.names
    )
)
