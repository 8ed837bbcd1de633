"""RandLoRA: W + s sum of B_i L_i A G_i, A and B_i random. Albert and others 2025 (arXiv 2502.00987)."""

import peft as hf

from workers.peft_methods.hf_layers import HfMethod

METHOD = HfMethod(
    lambda settings, targets: hf.RandLoraConfig(
        r=settings.rank,
        randlora_alpha=settings.alpha,
        projection_prng_key=targets.seed,
        target_modules=targets.names,
    ),
    shared=("randlora_A", "randlora_B"),
)
