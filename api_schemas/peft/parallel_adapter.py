"""Parallel adapter. He and others 2022 (arXiv 2110.04366)."""

from typing import ClassVar

from pydantic import Field

from api_schemas.backbones import BackboneShape
from api_schemas.json_values import Integer, Number
from api_schemas.peft.bottleneck import bottleneck_flops, bottleneck_parameters
from api_schemas.peft.own_module import LARGEST_SCALE, ONE_PER_LAYER, SIZE_LIMIT, Count, OwnModule, Size


class ParallelAdapter(OwnModule):
    """Bottleneck beside the feed-forward block: y + scaling * up(relu(down(x)))."""

    label: ClassVar[str] = "parallel"
    size_fields: ClassVar[tuple[str, ...]] = ("bottleneck_size",)
    learning_rate: ClassVar[float] = 1e-4
    """He and others train at 5e-5 and 1e-4; a wide one is unstable at ten times as much."""

    bottleneck_size: Integer = Field(default=0, ge=0, le=SIZE_LIMIT)
    by_layer: tuple[Size, ...] | None = ONE_PER_LAYER
    scaling: Number = Field(default=4.0, gt=0, le=LARGEST_SCALE)

    @classmethod
    def parameters(cls, size: Count, *, shape: BackboneShape) -> Count:
        """Return the scalars of two projections with their biases."""
        return bottleneck_parameters(size, shape=shape)

    @classmethod
    def flops(cls, size: Count, *, shape: BackboneShape) -> Count:
        """Return the operations of a multiplication down and one up."""
        return bottleneck_flops(size, shape=shape)
