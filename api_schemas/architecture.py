"""Which part of its backbone a trial keeps: how many layers, and how wide their feed-forward blocks.

What is kept is a smaller dense transformer, and everything else of a trial speaks of that one: layer 0 of
`peft` is the first layer that is kept. Which layers and units those are is found by their importance, which
this module does not know.
"""

from collections.abc import Mapping
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

SAFE_DEPTH = 0.75
"""The share of a decoder's layers below which what it writes is not known to recover."""

KEEP_LAYERS = "architecture.keep_layers"
WHICH = "architecture.which"
FFN_WIDTH = "architecture.ffn_width"

HEADS_STAY = (
    "attention heads cannot be left out yet; 'architecture.keep_layers' and 'architecture.ffn_width' make a "
    "network smaller"
)


class WhichLayers(StrEnum):
    """Which layers stay, in the order that they have in the backbone."""

    IMPORTANCE = "importance"
    """Those without which a linear head on the backbone's outputs explains least of the training rows."""
    FIRST = "first"
    """The lowest ones: the last are dropped, as people do it by hand."""
    LAST = "last"
    """The highest ones."""


class Architecture(Schema):
    """The sub-network of a trial: so many layers, each with `ffn_width` feed-forward units (null: all)."""

    keep_layers: Integer = Field(ge=1, le=LAYERS_LIMIT)
    which: WhichLayers = WhichLayers.IMPORTANCE
    ffn_width: Annotated[int, Field(ge=1, le=WIDTH_LIMIT), NO_BOOL_NOR_TEXT] | None = None

    @model_validator(mode="before")
    @classmethod
    def _explain(cls, given: Any) -> Any:
        """Refuse in a sentence what a bound or an unknown name would refuse in none."""
        if not isinstance(given, Mapping):
            return given
        if "heads" in given:
            raise PydanticCustomError("heads_stay", HEADS_STAY, {"pointer": "heads"})
        layers = given.get("keep_layers")
        if is_number(layers) and layers < 1:
            raise PydanticCustomError(
                "no_layer_left", "no layer would be left; keep at least 1", {"pointer": "keep_layers"}
            )
        return given

    def words(self, *, layers: int | None) -> str:
        """Return what is kept in a few words, of a backbone of so many layers where that is known."""
        width = "" if self.ffn_width is None else f", {self.ffn_width:,} feed-forward units in each"
        if self.keep_layers == layers:
            return f"keeps all {layers} layers{width}"
        by_importance = self.which is WhichLayers.IMPORTANCE
        kept = f"{self.keep_layers} most important" if by_importance else f"{self.which} {self.keep_layers}"
        return f"keeps the {kept} {'' if layers is None else f'of {layers} '}layers{width}"

    def keeps_everything(self, shape: BackboneShape) -> bool:
        """Return whether nothing of a backbone of this shape is left out."""
        return self.keep_layers >= shape.layers and self.ffn_width in (None, shape.ffn_size)


def kept_shape(shape: BackboneShape, architecture: Architecture | None) -> BackboneShape:
    """Return the shape of what a trial keeps of a backbone: of the same again, the same."""
    if architecture is None or architecture.keeps_everything(shape):
        return shape
    width = architecture.ffn_width or shape.ffn_size
    weights = shape.weights
    if weights is not None and width != shape.ffn_size:
        narrower = (shape.ffn_size - width) * (weights.each_ffn_unit or 0)
        weights = weights.model_copy(update={"each_layer": weights.each_layer - narrower})
    layers = min(architecture.keep_layers, shape.layers)
    return shape.model_copy(update={"layers": layers, "ffn_size": width, "weights": weights})


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
    which = architecture.which if architecture.keep_layers < shape.layers else WhichLayers.IMPORTANCE
    width = None if architecture.ffn_width == shape.ffn_size else architecture.ffn_width
    return Architecture(keep_layers=min(architecture.keep_layers, shape.layers), which=which, ffn_width=width)
