"""PiSSA: W - s B0 A0 + s B A, with B0 and A0 from the largest singular triples of W.

Meng and others 2024 (arXiv 2404.02948).
"""

import copy
from functools import partial
from typing import Any

import torch
from peft import PeftConfig
from torch import Tensor, nn

from workers.peft_methods.hf_layers import ADAPTER, HfLayers, HfMethod, linear
from workers.peft_methods.lora import low_rank


def keep_start(layer: Any) -> None:
    """Keep the factors from which a layer starts."""
    for factor in ("A", "B"):
        start = getattr(layer, f"lora_{factor}")[ADAPTER].weight.detach().clone()
        layer.register_buffer(f"initial_{factor}", start.contiguous())


def without_start(layer: Any, original: nn.Module) -> nn.Module:
    """Return the projection without the product of the factors from which a layer starts."""
    assert isinstance(original, nn.Linear)  # noqa: S101  what `target_modules` allowed
    product = layer.scaling[ADAPTER] * layer.initial_B @ layer.initial_A
    rest = (original.weight.detach() - product).to(original.weight.dtype)
    return linear(rest, original.bias)


def as_plain_lora(trained: HfLayers) -> tuple[PeftConfig, dict[str, Tensor]]:
    """Return W - s B0 A0 + s B A as W + s [B, -B0] [A; A0]: LoRA of twice the rank on the whole weight."""
    configuration: Any = copy.deepcopy(trained.configuration)
    configuration.init_lora_weights = True
    configuration.r *= 2
    configuration.lora_alpha *= 2
    tensors: dict[str, Tensor] = {}
    for name, layer in trained.peft_layers().items():
        a, b = layer.lora_A[ADAPTER].weight, layer.lora_B[ADAPTER].weight
        tensors[f"base_model.model.{name}.lora_A.weight"] = torch.cat([a, layer.initial_A], dim=0)
        tensors[f"base_model.model.{name}.lora_B.weight"] = torch.cat([b, -layer.initial_B], dim=1)
    return configuration, tensors


METHOD = HfMethod(
    partial(low_rank, init_lora_weights="pissa"),
    copies_weights=True,
    prepare=keep_start,
    base_layer=without_start,
    saved=as_plain_lora,
)
