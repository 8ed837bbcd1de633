"""VB-LoRA: LoRA whose rows are mixtures of shared vectors. Li and others 2024 (arXiv 2405.15179)."""

import peft as hf

from api_schemas.peft.vblora import BANK_VECTORS
from workers.peft_methods.hf_layers import HfMethod

METHOD = HfMethod(
    lambda settings, targets: hf.VBLoRAConfig(
        r=settings.rank,
        vector_length=settings.block_size,
        num_vectors=BANK_VECTORS,
        target_modules=targets.names,
    ),
    shared=("vblora_vector_bank",),
)
