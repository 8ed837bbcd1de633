"""Prefix tuning. Li and Liang 2021 (arXiv 2101.00190)."""

from typing import ClassVar

from pydantic import Field

from api_schemas.backbones import BackboneShape
from api_schemas.json_values import Integer
from api_schemas.peft.own_module import ONE_PER_LAYER, SIZE_LIMIT, Count, OwnModule, Size


class PrefixTuning(OwnModule):
    """Trained keys and values in front of the self-attention."""

    label: ClassVar[str] = "prefix"
    size_fields: ClassVar[tuple[str, ...]] = ("length",)
    learning_rate: ClassVar[float] = 3e-3
    """Without a network that makes the prefix it needs large steps (arXiv 2110.07602)."""

    length: Integer = Field(default=0, ge=0, le=SIZE_LIMIT)
    by_layer: tuple[Size, ...] | None = ONE_PER_LAYER

    @classmethod
    def parameters(cls, size: Count, *, shape: BackboneShape) -> Count:
        """Return the scalars of a key and a value for each position of the prefix."""
        return 2 * size * shape.key_value_size

    @classmethod
    def flops(cls, size: Count, *, shape: BackboneShape) -> Count:
        """Return what the formula costs: each query scores the prefix, and averages its values.

        In families where the prefix enters through the projections more is computed.
        """
        return 4 * size * shape.query_size
