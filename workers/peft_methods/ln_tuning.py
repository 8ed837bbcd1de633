"""The weights and biases of the norms. Zhao and others 2023 (arXiv 2312.11420)."""

from collections.abc import Iterable

import peft as hf
from torch import nn

from api_schemas.peft.method import LibrarySettings
from api_schemas.peft.registry import Peft
from workers.backbones.loading import Backbone
from workers.peft_methods.hf_layers import HfMethod, Targets


def _configuration(_: LibrarySettings, targets: Targets) -> hf.PeftConfig:
    return hf.LNTuningConfig(target_modules=targets.names)


def _norms_at(_: Peft, backbone: Backbone, layer: int) -> Iterable[nn.Module]:
    return [part for part in backbone.layers[layer].modules() if _is_norm(part)]


def _is_norm(module: nn.Module) -> bool:
    # transformers names each family's own class, LayerNorm or RMSNorm at the end.
    return type(module).__name__.endswith(("LayerNorm", "RMSNorm"))


METHOD = HfMethod(_configuration, targets_at=_norms_at)
