"""BOFT: c * W R x, one butterfly factor, exact Cayley transform. Liu and others 2023 (arXiv 2311.06243)."""

import peft as hf
from peft.tuners.boft import layer as boft_layer

from workers.peft_methods.hf_layers import HfMethod

# peft would compile a CUDA extension in the middle of a trial; it speeds up butterflies, and ours has none.
boft_layer._FBD_CUDA = False


METHOD = HfMethod(
    lambda settings, targets: hf.BOFTConfig(boft_block_size=settings.block_size, target_modules=targets.names)
)
