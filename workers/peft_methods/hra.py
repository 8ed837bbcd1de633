"""HRA: W H_1 ... H_rank, Householder reflections. Yuan and others 2024 (arXiv 2405.17484)."""

import peft as hf

from api_schemas.peft.method import LibrarySettings
from workers.peft_methods.hf_layers import HfMethod, Targets


def _configuration(settings: LibrarySettings, targets: Targets) -> hf.PeftConfig:
    return hf.HRAConfig(r=settings.rank, target_modules=targets.names)


METHOD = HfMethod(_configuration)
