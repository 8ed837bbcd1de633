"""Serial adapter. Houlsby and others 2019 (arXiv 1902.00751), Pfeiffer and others 2021 (arXiv 2005.00247)."""

from typing import ClassVar

from pydantic import Field

from api_schemas.backbones import BackboneShape
from api_schemas.json_values import Integer
from api_schemas.peft.bottleneck import bottleneck_flops, bottleneck_parameters
from api_schemas.peft.own_module import ONE_PER_LAYER, SIZE_LIMIT, Count, OwnModule, Size


class SerialAdapter(OwnModule):
    """Bottleneck after the feed-forward block: y + up(relu(down(y)))."""

    label: ClassVar[str] = "serial"
    size_fields: ClassVar[tuple[str, ...]] = ("bottleneck_size",)
    learning_rate: ClassVar[float] = 1e-3
    """Houlsby and others search 3e-5 to 3e-3; small networks take the upper end of it."""

    bottleneck_size: Integer = Field(default=0, ge=0, le=SIZE_LIMIT)
    by_layer: tuple[Size, ...] | None = ONE_PER_LAYER

    @classmethod
    def parameters(cls, size: Count, *, shape: BackboneShape) -> Count:
        """Return the scalars of two projections with their biases."""
        return bottleneck_parameters(size, shape=shape)

    @classmethod
    def flops(cls, size: Count, *, shape: BackboneShape) -> Count:
        """Return the operations of a multiplication down and one up."""
        return bottleneck_flops(size, shape=shape)
