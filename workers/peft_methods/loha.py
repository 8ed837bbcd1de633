"""LoHa: W + s (B1 A1) * (B2 A2), a Hadamard product. Hyeon-Woo and others 2021 (arXiv 2108.06098)."""

import peft as hf

from api_schemas.peft.method import LibrarySettings
from workers.peft_methods.hf_layers import HfMethod, Targets


def _configuration(settings: LibrarySettings, targets: Targets) -> hf.PeftConfig:
    return hf.LoHaConfig(r=settings.rank, alpha=settings.alpha, target_modules=targets.names)


METHOD = HfMethod(_configuration)
