"""Which part of its backbone a trial keeps: how many layers, and how wide their feed-forward blocks.

What is kept is a smaller dense transformer, and everything else of a trial speaks of that one: layer 0 of
`peft` is the first layer that is kept. Which layers and units those are is found by their importance, which
this module does not know.
"""

from enum import StrEnum

from pydantic import Field

from api_schemas.base import Schema
from api_schemas.json_values import Integer

LAYERS_LIMIT = 1000
WIDTH_LIMIT = 4_000_000

WIDTH_STEP = 32
"""Widths are multiples of it, as matrix products of CPUs and small GPUs like them; the whole width always is
one of them."""


class WhichLayers(StrEnum):
    """Which layers stay, in the order that they have in the backbone."""

    IMPORTANCE = "importance"
    """Those without which the loss on training rows rises most."""
    FIRST = "first"
    """The lowest ones: the last are dropped, as people do it by hand."""
    LAST = "last"
    """The highest ones."""


class Architecture(Schema):
    """The sub-network of a trial: `keep_layers` layers, each with `ffn_width` feed-forward units (null: all)."""

    keep_layers: Integer = Field(ge=1, le=LAYERS_LIMIT)
    which: WhichLayers = WhichLayers.IMPORTANCE
    ffn_width: Integer | None = Field(default=None, ge=1, le=WIDTH_LIMIT)
