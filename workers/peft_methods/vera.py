"""VeRA: W x + l_b * B (l_d * A x), A and B random and shared. Kopiczko and others 2023 (arXiv 2310.11454)."""

import peft as hf

from workers.peft_methods.hf_layers import HfMethod

METHOD = HfMethod(
    lambda settings, targets: hf.VeraConfig(
        r=settings.rank, projection_prng_key=targets.seed, target_modules=targets.names
    ),
    shared=("vera_A", "vera_B"),
)
