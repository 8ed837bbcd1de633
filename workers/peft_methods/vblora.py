"""VB-LoRA: LoRA whose rows are mixtures of shared vectors. Li and others 2024 (arXiv 2405.15179)."""

import peft as hf

from api_schemas.peft.method import LibrarySettings
from api_schemas.peft.vblora import BANK_VECTORS
from workers.peft_methods.hf_layers import HfMethod, Targets


def _configuration(settings: LibrarySettings, targets: Targets) -> hf.PeftConfig:
    return hf.VBLoRAConfig(
        r=settings.rank,
        vector_length=settings.block_size,
        num_vectors=BANK_VECTORS,
        target_modules=targets.names,
    )


METHOD = HfMethod(_configuration, shared=("vblora_vector_bank",))
