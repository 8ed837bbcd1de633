"""AdaLoRA: W x + (alpha / rank) P L Q x; the least important L are set to zero while it trains.

Zhang and others 2023 (arXiv 2303.10512).
"""

from typing import Any

import peft as hf
from peft.tuners._buffer_dict import BufferDict
from torch import Tensor

from api_schemas.peft.method import LibrarySettings
from workers.peft_methods.hf_layers import ADAPTER, HfLayers, HfMethod, Targets, own_format

WARM_UP_SHARE = 0.1
"""All ranks are kept for this share of the steps."""
FINAL_SHARE = 0.3
"""The chosen ranks alone are trained for this share of the steps, the last ones."""


def _configuration(settings: LibrarySettings, targets: Targets) -> hf.PeftConfig:
    return hf.AdaLoraConfig(
        init_r=settings.rank,
        target_r=settings.rank // 2,
        lora_alpha=settings.alpha,
        total_step=1,  # the number of steps is known when training starts
        target_modules=targets.names,
    )


def _constants_as_buffers(layer: Any) -> None:
    # AdaLoRA keeps this constant as a parameter, which would count as trained.
    ranks = {name: rank.detach() for name, rank in layer.ranknum.items()}
    layer.ranknum = BufferDict(ranks, persistent=False)


def _move_rank(model: hf.PeftModel, step: int, total_steps: int) -> None:
    if total_steps < 2:
        return
    configuration = model.peft_config[ADAPTER]
    configuration.total_step = total_steps
    configuration.tinit = int(WARM_UP_SHARE * total_steps)
    configuration.tfinal = int(FINAL_SHARE * total_steps)
    model.base_model.update_and_allocate(step)


def _with_whole_tensors(trained: HfLayers) -> tuple[hf.PeftConfig, dict[str, Tensor]]:
    # peft would cut out what was set to zero; whole tensors mean the same and never become empty.
    configuration = trained.model.peft_config[ADAPTER]
    pattern, configuration.rank_pattern = configuration.rank_pattern, None
    saved = own_format(trained)
    configuration.rank_pattern = pattern
    return saved


METHOD = HfMethod(
    _configuration, prepare=_constants_as_buffers, after_step=_move_rank, saved=_with_whole_tensors
)
