"""LoRA: W x + alpha / rank * B(A(x)) for the chosen projections. Hu and others 2022 (arXiv 2106.09685).

A starts uniform (Kaiming, as published code does), B at zero.
"""

import math

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.nn import functional
from torch.utils.hooks import RemovableHandle

from api_schemas.trial_configuration import Peft
from workers.backbones import Backbone


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


def build(peft: Peft, *, backbone: Backbone, generator: Generator) -> nn.Module | None:
    """Make the updates of one layer, or None if the rank is zero or nothing is targeted.

    Raises:
        UnsupportedBackbone: If a target is not a plain linear projection.
    """
    lora = peft.lora
    if not (lora.rank and lora.targets):
        return None
    updates = nn.ModuleDict()
    for role in lora.targets:
        # Every layer of a backbone has the same shapes, so the first one stands for all.
        projection = backbone.projection(0, role)
        updates[role] = LowRank(projection.inputs, projection.outputs, rank=lora.rank, generator=generator)
    return updates


def attach(module: nn.Module, *, backbone: Backbone, layer: int, peft: Peft) -> list[RemovableHandle]:
    """Add each update to the output of its projection."""
    assert isinstance(module, nn.ModuleDict)  # noqa: S101  what `build` made
    scale = peft.lora.alpha / peft.lora.rank

    def add_to(role: str, update: nn.Module) -> RemovableHandle:
        projection = backbone.projection(layer, role)

        def add(_: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> Tensor:
            return output + projection.widened(scale * update(arguments[0]))

        return projection.module.register_forward_hook(add)

    return [add_to(role, update) for role, update in module.items()]
