"""Where a module goes: the layer of a backbone, and what the whole trial has there."""

from dataclasses import dataclass

from torch import Generator, nn

from api_schemas.peft.registry import Peft
from workers.backbones.loading import Backbone, Projection


@dataclass(frozen=True)
class Place:
    """A layer that is about to get its modules.

    `shared` holds what the layers of one trial have in common; `generator` gives initial values.
    """

    peft: Peft
    backbone: Backbone
    layer: int
    generator: Generator
    shared: nn.ModuleDict

    @property
    def hidden_size(self) -> int:
        """Width of the residual stream."""
        return self.backbone.shape.hidden_size

    def part(self, role: str) -> nn.Module:
        """Return the module that plays a role in this layer."""
        return self.backbone.part(self.layer, role)

    def projection(self, role: str) -> Projection:
        """Return the linear map that plays a role in this layer."""
        return self.backbone.projection(self.layer, role)
