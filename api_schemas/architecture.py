"""Which part of its backbone a trial keeps: how many layers, how many heads, how wide feed-forward blocks.

What is kept is a smaller dense transformer, and everything else of a trial speaks of that one: layer 0 of
`peft` is the first layer that is kept. Which layers, heads and units those are is found by their
importance, which this module does not know.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from api_schemas.backbones import BackboneShape
from api_schemas.base import Schema
from api_schemas.json_values import NO_BOOL_NOR_TEXT, Integer, is_number
from api_schemas.model_families import FAMILIES
from api_schemas.peft.own_module import LAYERS_LIMIT

WIDTH_LIMIT = 4_000_000

WIDTH_STEP = 32
"""A width is a multiple of it, as matrix products on CPUs like them, or the whole width."""

MEASURING_ROWS = 512
"""How many rows, at most, tell which parts matter, or score sub-networks of a super-network."""

SAFE_DEPTH = 0.75
"""The share of a decoder's layers below which what it writes is not known to recover."""

KEEP_LAYERS = "architecture.keep_layers"
WHICH = "architecture.which"
FFN_WIDTH = "architecture.ffn_width"
FFN_WIDTH_GROUPS = "architecture.ffn_width_groups"
UNITS_BY = "architecture.units_by"
HEADS = "architecture.heads"


class WhichLayers(StrEnum):
    """Which layers stay, in the order that they have in the backbone."""

    IMPORTANCE = "importance"
    """Those without which a linear head on the backbone's outputs explains least of the training rows."""
    FIRST = "first"
    """The lowest ones: the last are dropped, as people do it by hand."""
    LAST = "last"
    """The highest ones."""


class UnitsBy(StrEnum):
    """Which feed-forward units stay."""

    IMPORTANCE = "importance"
    """Those that add most to the residual stream on the training rows."""
    MAGNITUDE = "magnitude"
    """Those with the largest weights: what people compare with (uniform magnitude pruning)."""


Width = Annotated[int, Field(ge=1, le=WIDTH_LIMIT), NO_BOOL_NOR_TEXT]


class Architecture(Schema):
    """The sub-network of a trial: so many layers, each with `ffn_width` feed-forward units (null: all).

    `ffn_width_groups` has a width for each half or third of the kept layers, from the lowest on, in place of
    the one width. `heads` of queries stay in each layer (null: all).
    """

    keep_layers: Integer = Field(ge=1, le=LAYERS_LIMIT)
    which: WhichLayers = WhichLayers.IMPORTANCE
    ffn_width: Width | None = None
    # Versions of before refuse what they do not know.
    ffn_width_groups: tuple[Width, ...] | None = Field(
        default=None, min_length=2, max_length=3, exclude_if=lambda widths: widths is None
    )
    units_by: UnitsBy = Field(default=UnitsBy.IMPORTANCE, exclude_if=lambda by: by == UnitsBy.IMPORTANCE)
    heads: Width | None = Field(default=None, exclude_if=lambda heads: heads is None)

    @model_validator(mode="before")
    @classmethod
    def _explain(cls, given: Any) -> Any:
        """Refuse in a sentence what a bound or an unknown name would refuse in none."""
        if not isinstance(given, Mapping):
            return given
        if given.get("ffn_width") is not None and given.get("ffn_width_groups") is not None:
            raise PydanticCustomError(
                "two_widths", "give one width for all layers or one for each group, not both",
                {"pointer": "ffn_width_groups"},
            )  # fmt: skip
        if is_number(given.get("heads")) and given["heads"] < 1:
            raise PydanticCustomError(
                "no_head_left", "no attention head would be left; keep at least 1", {"pointer": "heads"}
            )
        layers = given.get("keep_layers")
        if is_number(layers) and layers < 1:
            raise PydanticCustomError(
                "no_layer_left", "no layer would be left; keep at least 1", {"pointer": "keep_layers"}
            )
        return given

    def words(self, *, layers: int | None) -> str:
        """Return what is kept in a few words, of a backbone of so many layers where that is known."""
        width = self._width_words() + (
            "" if self.heads is None else f", {self.heads} attention heads in each"
        )
        if self.keep_layers == layers:
            return f"keeps all {layers} layers{width}"
        by_importance = self.which is WhichLayers.IMPORTANCE
        kept = f"{self.keep_layers} most important" if by_importance else f"{self.which} {self.keep_layers}"
        return f"keeps the {kept} {'' if layers is None else f'of {layers} '}layers{width}"

    def _width_words(self) -> str:
        largest = " (by the size of their weights)" if self.units_by is UnitsBy.MAGNITUDE else ""
        if self.ffn_width_groups is not None:
            widths = ", ".join(f"{width:,}" for width in self.ffn_width_groups)
            return f", {widths} feed-forward units by depth{largest}"
        return "" if self.ffn_width is None else f", {self.ffn_width:,} feed-forward units in each{largest}"

    def keeps_everything(self, shape: BackboneShape) -> bool:
        """Return whether nothing of a backbone of this shape is left out."""
        return (
            self.keep_layers >= shape.layers
            and self.ffn_width in (None, shape.ffn_size)
            and set(self.ffn_width_groups or ()) <= {shape.ffn_size}
            and self.heads in (None, shape.heads)
        )

    def widths_by_layer(self) -> tuple[int | None, ...]:
        """Return the width of each kept layer's feed-forward block, None for the whole one."""
        groups = self.ffn_width_groups
        if groups is None:
            return (self.ffn_width,) * self.keep_layers
        ends = group_ends(self.keep_layers, len(groups))
        return tuple(groups[sum(layer >= end for end in ends)] for layer in range(self.keep_layers))

    def spelled(self) -> dict[str, Any]:
        """Return it as JSON with every setting, those at their defaults among them."""
        unsaid = {"ffn_width_groups": None, "units_by": self.units_by.value, "heads": None}
        return {**unsaid, **self.model_dump(mode="json")}


def group_ends(layers: Any, groups: int) -> list[Any]:
    """Return the number of layers up to the end of each of so many groups of `layers`, or columns of both.

    Groups are as equal as whole layers allow; of fewer layers than groups, some are empty.
    """
    return [-(-layers * (group + 1) // groups) for group in range(groups)]


def with_heads(shape: BackboneShape, heads: int, *, size: int) -> BackboneShape:
    """Return a shape with so many heads of queries; keys and values follow where each query has its own."""
    is_grouped = shape.key_value_size < shape.query_size
    key_value_size = shape.key_value_size if is_grouped else heads * size
    return shape.model_copy(update={"query_size": heads * size, "key_value_size": key_value_size})


def kept_shape(shape: BackboneShape, architecture: Architecture | None) -> BackboneShape:
    """Return the shape of what a trial keeps of a backbone: of the same again, the same.

    Where widths differ by depth, the blocks of the shape are as wide as the widest.
    """
    if architecture is None or architecture.keeps_everything(shape):
        return shape
    width = max(architecture.ffn_width_groups or (architecture.ffn_width or shape.ffn_size,))
    weights = shape.weights
    if weights is not None and width != shape.ffn_size:
        narrower = (shape.ffn_size - width) * (weights.each_ffn_unit or 0)
        weights = weights.model_copy(update={"each_layer": weights.each_layer - narrower})
    layers = min(architecture.keep_layers, shape.layers)
    kept = shape.model_copy(update={"layers": layers, "ffn_size": width, "weights": weights})
    return kept if architecture.heads is None else _with_fewer_heads(kept, architecture.heads)


def _with_fewer_heads(shape: BackboneShape, heads: int) -> BackboneShape:
    weights = shape.weights
    if weights is None or weights.heads is None or shape.heads is None:
        return shape  # a worker's own network has the smaller size already
    dropped, counted = shape.heads - heads, weights.heads
    fewer = {
        "each_layer": weights.each_layer - dropped * counted.each_layer,
        "below": weights.below - dropped * counted.below,
    }
    found = with_heads(shape, heads, size=counted.size)
    return found.model_copy(update={"weights": weights.model_copy(update=fewer)})


def kept_by_depth(
    shape: BackboneShape, architecture: Architecture | None
) -> Sequence[tuple[BackboneShape, int]]:
    """Return the shape of each group of layers of one width, and the number of layers up to its end."""
    if architecture is None or architecture.ffn_width_groups is None:
        kept = kept_shape(shape, architecture)
        return [(kept, kept.layers)]
    widths = architecture.ffn_width_groups
    one_width = architecture.model_copy(update={"ffn_width_groups": None})
    shapes = [kept_shape(shape, one_width.model_copy(update={"ffn_width": width})) for width in widths]
    return list(zip(shapes, group_ends(shapes[0].layers, len(widths)), strict=True))


def depth_caution(architecture: Architecture | None, shape: BackboneShape) -> str | None:
    """Return what to know of a decoder that has lost many of its layers; None where there is nothing."""
    family = FAMILIES.get(shape.model_type)
    if architecture is None or family is None or not family.is_decoder:
        return None
    if architecture.keep_layers >= SAFE_DEPTH * shape.layers:
        return None
    return (
        f"It keeps {architecture.keep_layers} of {shape.layers} layers of a decoder: below three quarters, "
        "published work recovers classification, but not generation (arXiv 2602.01997)."
    )


def sub_network_key(architecture: Architecture | None, shape: BackboneShape | None) -> str:
    """Return a name that all spellings of a sub-network have, and no other; empty for the whole one."""
    kept = canonical_architecture(architecture, shape)
    return "" if kept is None else kept.model_dump_json()


def canonical_architecture(
    architecture: Architecture | None, shape: BackboneShape | None
) -> Architecture | None:
    """Return every spelling of a sub-network one representative; None where everything is kept.

    Without a shape it is not known what everything is.
    """
    if architecture is None or shape is None:
        return architecture
    if architecture.keeps_everything(shape):
        return None
    layers = min(architecture.keep_layers, shape.layers)
    widths = tuple(
        width or shape.ffn_size
        for width in architecture.model_copy(update={"keep_layers": layers}).widths_by_layer()
    )
    one_width = widths[0] if len(set(widths)) == 1 else None
    is_narrow = set(widths) != {shape.ffn_size}
    return Architecture(
        keep_layers=layers,
        which=architecture.which if layers < shape.layers else WhichLayers.IMPORTANCE,
        ffn_width=one_width if is_narrow else None,
        ffn_width_groups=_without_empty_groups(architecture, layers) if one_width is None else None,
        units_by=architecture.units_by if is_narrow else UnitsBy.IMPORTANCE,
        heads=None if architecture.heads == shape.heads else architecture.heads,
    )


def _without_empty_groups(architecture: Architecture, layers: int) -> tuple[int, ...]:
    """Return the widths of the groups; one without a layer has that of the group below it."""
    widths = list(architecture.ffn_width_groups or ())
    ends = group_ends(layers, len(widths))
    for group in range(1, len(widths)):
        if ends[group] == ends[group - 1]:
            widths[group] = widths[group - 1]
    return tuple(widths)
