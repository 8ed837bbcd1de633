"""OFT: W R x, R block-diagonal, by a Neumann series. Qiu and others 2023 (arXiv 2306.07280)."""

import peft as hf

from workers.peft_methods.hf_layers import HfMethod

METHOD = HfMethod(
    lambda settings, targets: hf.OFTConfig(oft_block_size=settings.block_size, target_modules=targets.names)
)
