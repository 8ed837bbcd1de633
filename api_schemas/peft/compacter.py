"""Compacter. Karimi Mahabadi and others 2021 (arXiv 2106.04647)."""

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from api_schemas.backbones import BackboneShape
from api_schemas.json_values import Integer
from api_schemas.peft.bottleneck import bottleneck_flops
from api_schemas.peft.own_module import ONE_PER_LAYER, SIZE_LIMIT, Count, OwnModule, Read, Size


class Compacter(OwnModule):
    """A serial bottleneck of Kronecker products: W = sum of A_i (x) s_i t_i for i up to `division`.

    The A_i are shared by all layers. `division` must divide the hidden size and the bottleneck size.
    """

    label: ClassVar[str] = "Compacter"
    size_fields: ClassVar[tuple[str, ...]] = ("bottleneck_size",)

    bottleneck_size: Integer = Field(default=0, ge=0, le=SIZE_LIMIT)
    by_layer: tuple[Size, ...] | None = ONE_PER_LAYER
    division: Integer = Field(default=4, ge=1, le=64)

    @classmethod
    def parameters(cls, size: Count, *, shape: BackboneShape) -> Count:
        """Return the scalars of the rank-one columns and rows of two projections, and of their biases."""
        hidden = shape.hidden_size
        return (size > 0) * (2 * (hidden + size) + size + hidden)

    @classmethod
    def flops(cls, size: Count, *, shape: BackboneShape) -> Count:
        """Return the operations of a multiplication down and one up."""
        return bottleneck_flops(size, shape=shape)

    def shared_parameters(self, active: Sequence[Count], read: Read) -> Count:
        """Return the scalars of the A_i, if a layer has a bottleneck."""
        sizes = (on * self.read_size(layer, read) for layer, on in enumerate(active))
        return (sum(sizes) > 0) * read("division") ** 3
