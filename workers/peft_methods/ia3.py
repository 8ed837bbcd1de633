"""(IA)³: l * W x, and W (l * x) where a feed-forward block ends. Liu and others 2022 (arXiv 2205.05638)."""

import peft as hf

from workers.peft_methods.hf_layers import HfMethod

METHOD = HfMethod(
    lambda _, targets: hf.IA3Config(feedforward_modules=targets.feed_forward, target_modules=targets.names)
)
