"""The shape of a backbone, on which the search space and exact metrics depend, and its place on the hub."""

from collections.abc import Mapping
from typing import NamedTuple

from pydantic import Field

from api_schemas.base import Schema


class HeadCounts(Schema):
    """Scalars that go with one attention head, where the number of heads may be another."""

    size: int = Field(ge=1, description="width of one head")
    each_layer: int = Field(ge=1, description="of a layer")
    below: int = Field(default=0, ge=0, description="of what layers share, such as a table of positions")


class WeightCounts(Schema):
    """Scalars of a transformer's own weights by place. A pooler is left out, for nothing here reads it."""

    below: int = Field(ge=0, description="embeddings, and what layers share, such as a table of positions")
    each_layer: int = Field(ge=1)
    above: int = Field(ge=0, description="the norm behind the last layer")
    each_ffn_unit: int | None = Field(
        default=None,
        ge=1,
        description="of a layer: what goes with one unit of its feed-forward block",
        # Versions of before refuse what they do not know, and shapes that they stored have none.
        exclude_if=lambda scalars: scalars is None,
    )
    heads: HeadCounts | None = Field(
        default=None,
        description="absent where attention heads cannot be left out",
        exclude_if=lambda heads: heads is None,
    )


class BackboneShape(Schema):
    """Sizes of a transformer, read from its configuration file. All widths count scalars."""

    model_type: str
    layers: int = Field(ge=1)
    hidden_size: int = Field(ge=1)
    ffn_size: int = Field(ge=1)
    query_size: int = Field(ge=1, description="attention heads times head size")
    key_value_size: int = Field(ge=1, description="key-value heads times head size")
    max_positions: int = Field(ge=1)
    embedding_size: int | None = Field(
        default=None,
        ge=1,
        description="width of the token embeddings; absent where it is the hidden size",
        # Versions of before refuse what they do not know, and most backbones have nothing to say here.
        exclude_if=lambda size: size is None,
    )
    weights: WeightCounts | None = Field(
        default=None,
        description="absent where no trial trains the weights themselves, or where they are not counted",
        exclude_if=lambda weights: weights is None,
    )

    @property
    def heads(self) -> int | None:
        """Attention heads of a layer; None where they are not counted."""
        counted = self.weights and self.weights.heads
        return self.query_size // counted.size if counted else None

    @property
    def key_value_heads(self) -> int | None:
        """Heads of keys and values; None where heads are not counted."""
        counted = self.weights and self.weights.heads
        return self.key_value_size // counted.size if counted else None

    @property
    def embedding_width(self) -> int:
        """Width of the token embeddings, and so of trained tokens beside them."""
        return self.embedding_size or self.hidden_size


ROLES = ("query", "key", "value", "attention_output", "ffn_in", "ffn_out")
"""The projections of a transformer layer, in the order in which everything lists them."""


class Projection(NamedTuple):
    """A linear map of a layer: its role and its widths."""

    role: str
    inputs: int
    outputs: int


def projections(shape: BackboneShape) -> Mapping[str, Projection]:
    """Return the projections of one layer by role."""
    hidden, query, key_value, ffn = shape.hidden_size, shape.query_size, shape.key_value_size, shape.ffn_size
    return {
        "query": Projection("query", hidden, query),
        "key": Projection("key", hidden, key_value),
        "value": Projection("value", hidden, key_value),
        "attention_output": Projection("attention_output", query, hidden),
        "ffn_in": Projection("ffn_in", hidden, ffn),
        "ffn_out": Projection("ffn_out", ffn, hidden),
    }


PACKAGED_REPOSITORIES: Mapping[str, str] = {
    "all-MiniLM-L6-v2": "sentence-transformers/all-MiniLM-L6-v2",
    "all-mpnet-base-v2": "sentence-transformers/all-mpnet-base-v2",
    "SmolLM2-135M-Instruct": "HuggingFaceTB/SmolLM2-135M-Instruct",
}
"""Where the Hugging Face hub has the models that come in packages."""


def hub_repository(backbone: str) -> str | None:
    """Return the repository of the Hugging Face hub that holds a backbone; None for a local folder."""
    return PACKAGED_REPOSITORIES.get(backbone, backbone if "/" in backbone else None)
