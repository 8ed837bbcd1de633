"""MiSS: W x + D (sum of pieces of x of length rank). Kang and Yin 2024 (arXiv 2409.15371)."""

import peft as hf

from api_schemas.peft.method import LibrarySettings
from workers.peft_methods.hf_layers import HfMethod, Targets


def _configuration(settings: LibrarySettings, targets: Targets) -> hf.PeftConfig:
    return hf.MissConfig(r=settings.rank, target_modules=targets.names)


METHOD = HfMethod(_configuration)
