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
from workers.errors import UnsupportedBackbone


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
        projection = backbone.part(0, role)
        if not isinstance(projection, nn.Linear):
            raise UnsupportedBackbone(f"LoRA needs a linear {role} projection; this backbone has none.")
        updates[role] = LowRank(
            projection.in_features, projection.out_features, rank=lora.rank, generator=generator
        )
    return updates


def attach(module: nn.Module, *, backbone: Backbone, layer: int, peft: Peft) -> list[RemovableHandle]:
    """Add each update to the output of its projection."""
    assert isinstance(module, nn.ModuleDict)  # noqa: S101  what `build` made
    scale = peft.lora.alpha / peft.lora.rank

    def add_to(role: str, update: nn.Module) -> RemovableHandle:
        def add(_: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> Tensor:
            change: Tensor = update(arguments[0])
            return output + scale * change

        return backbone.part(layer, role).register_forward_hook(add)

    return [add_to(role, update) for role, update in module.items()]
