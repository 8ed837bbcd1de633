"""VeRA: W x + l_b * B (l_d * A x), A and B random and shared. Kopiczko and others 2023 (arXiv 2310.11454)."""

import peft as hf

from api_schemas.peft.method import LibrarySettings
from workers.peft_methods.hf_layers import HfMethod, Targets


def _configuration(settings: LibrarySettings, targets: Targets) -> hf.PeftConfig:
    return hf.VeraConfig(r=settings.rank, projection_prng_key=targets.seed, target_modules=targets.names)


METHOD = HfMethod(_configuration, shared=("vera_A", "vera_B"))
