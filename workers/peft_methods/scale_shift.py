"""Scale and shift: gamma * y + beta for every output y of a layer's projections.

SSF, Lian and others 2022 (arXiv 2210.08823), equation 1, on the six projections of a layer. Gamma
starts at one and beta at zero, so training starts from the backbone as it is.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from api_schemas.backbones import ROLES
from workers.peft_methods.place import Place


class ScaleShift(nn.Module):
    """A factor and a shift for each output."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(outputs))
        self.beta = nn.Parameter(torch.zeros(outputs))

    def forward(self, y: Float[Tensor, "... o"]) -> Float[Tensor, "... o"]:
        """Scale, then shift."""
        return y * self.gamma.to(y.dtype) + self.beta.to(y.dtype)


def build(place: Place) -> nn.Module | None:
    """Make the factors and shifts of one layer, or None if it has none.

    Raises:
        UnsupportedBackbone: If a projection is not a plain linear one.
    """
    if not place.peft.scale_shift.size_at(place.layer):
        return None
    return nn.ModuleDict({role: ScaleShift(place.projection(role).outputs) for role in ROLES})


def attach(module: nn.Module, place: Place) -> list[RemovableHandle]:
    """Scale and shift the output of each projection."""
    assert isinstance(module, nn.ModuleDict)  # noqa: S101  what `build` made

    def onto(role: str, scale_shift: nn.Module) -> RemovableHandle:
        projection = place.projection(role)
        own = slice(projection.start, projection.start + projection.outputs)

        def apply(_: nn.Module, __: tuple[Tensor, ...], y: Tensor) -> Tensor:
            return y + projection.widened(scale_shift(y[..., own]) - y[..., own])

        return projection.module.register_forward_hook(apply)

    return [onto(role, scale_shift) for role, scale_shift in module.items()]
