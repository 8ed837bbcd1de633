"""FourierFT: W + 150 Re(inverse FFT of a sparse matrix). Gao and others 2024 (arXiv 2405.03003)."""

import peft as hf

from workers.peft_methods.hf_layers import HfMethod

METHOD = HfMethod(
    lambda settings, targets: hf.FourierFTConfig(
        n_frequency=settings.frequencies,
        init_weights=True,
        random_loc_seed=targets.seed,
        target_modules=targets.names,
    )
)
