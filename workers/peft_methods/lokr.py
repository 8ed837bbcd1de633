"""LoKr: W + s C (x) (B A), a Kronecker product. Yeh and others 2023 (arXiv 2309.14859)."""

import peft as hf

from api_schemas.peft.method import LibrarySettings
from workers.peft_methods.hf_layers import HfMethod, Targets


def _configuration(settings: LibrarySettings, targets: Targets) -> hf.PeftConfig:
    return hf.LoKrConfig(r=settings.rank, alpha=settings.alpha, target_modules=targets.names)


METHOD = HfMethod(_configuration)
