"""OFT: W R x, R block-diagonal, by a Neumann series. Qiu and others 2023 (arXiv 2306.07280)."""

import peft as hf

from api_schemas.peft.method import LibrarySettings
from workers.peft_methods.hf_layers import HfMethod, Targets


def _configuration(settings: LibrarySettings, targets: Targets) -> hf.PeftConfig:
    return hf.OFTConfig(oft_block_size=settings.block_size, target_modules=targets.names)


METHOD = HfMethod(_configuration)
