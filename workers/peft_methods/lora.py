"""LoRA: W x + alpha / rank * B(A(x)) for the chosen projections. Hu and others 2022 (arXiv 2106.09685).

A starts uniform (Kaiming, as published code does), B at zero. `build` and `attach` are those of our own
module, `METHOD` is the one of HF `peft`.
"""

import math
from typing import Any

import peft as hf
import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.nn import functional
from torch.utils.hooks import RemovableHandle

from api_schemas.peft.method import LibrarySettings
from workers.peft_methods.hf_layers import HfMethod, Targets
from workers.peft_methods.place import Place


class LowRank(nn.Module):
    """The update of one projection, without its scale."""

    def __init__(self, inputs: int, outputs: int, *, rank: int, generator: Generator) -> None:
        super().__init__()
        self.A = nn.Parameter(torch.empty(rank, inputs))
        self.B = nn.Parameter(torch.zeros(outputs, rank))
        with torch.no_grad():
            nn.init.kaiming_uniform_(self.A, a=math.sqrt(5), generator=generator)

    def forward(self, x: Float[Tensor, "... i"]) -> Float[Tensor, "... o"]:
        """Project to the rank and back."""
        return functional.linear(functional.linear(x, self.A.to(x.dtype)), self.B.to(x.dtype))


def build(place: Place) -> nn.Module | None:
    """Make the updates of one layer, or None if none has a rank.

    Raises:
        UnsupportedBackbone: If a target is not a plain linear projection.
    """
    updates = nn.ModuleDict()
    for role, rank in place.peft.lora.ranks_at(place.layer).present().items():
        projection = place.projection(role)
        updates[role] = LowRank(projection.inputs, projection.outputs, rank=rank, generator=place.generator)
    return updates if len(updates) else None


def attach(module: nn.Module, place: Place) -> list[RemovableHandle]:
    """Add each update to the output of its projection."""
    assert isinstance(module, nn.ModuleDict)  # noqa: S101  what `build` made
    alpha = place.peft.lora.alpha

    def add_to(role: str, update: nn.Module) -> RemovableHandle:
        assert isinstance(update, LowRank)  # noqa: S101  what `build` made
        projection = place.projection(role)
        scale = alpha / len(update.A)

        def add(_: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> Tensor:
            return output + projection.widened(scale * update(arguments[0]))

        return projection.module.register_forward_hook(add)

    return [add_to(role, update) for role, update in module.items()]


def low_rank(settings: LibrarySettings, targets: Targets, **more: Any) -> hf.PeftConfig:
    """Return the configuration of LoRA, or with `more` of one of its variants."""
    return hf.LoraConfig(r=settings.rank, lora_alpha=settings.alpha, target_modules=targets.names, **more)


METHOD = HfMethod(low_rank)
