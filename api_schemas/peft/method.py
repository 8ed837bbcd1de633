"""What a PEFT method is that is alone in its trial: what it reads, trains and cannot do.

Its counts serve one configuration and a table of candidates alike, as those of our own modules do:
settings may be whole numbers, or columns with an entry for each candidate.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import Field

from api_schemas.backbones import ROLES, BackboneShape, Projection
from api_schemas.base import Schema
from api_schemas.json_values import Integer, Number
from api_schemas.peft.own_module import DEFAULT_LEARNING_RATE, LARGEST_SCALE, Count


class LibrarySettings(Schema):
    """Settings of the methods that go through HF `peft`; `SETTINGS` says which method reads which."""

    rank: Integer = Field(default=8, ge=1, le=65536)
    alpha: Number = Field(
        default=16.0, gt=0, le=LARGEST_SCALE, description="updates are scaled by alpha / rank"
    )
    block_size: Integer = Field(
        default=32, ge=2, le=65536, description="rotated block of OFT and BOFT; vector length of VB-LoRA"
    )
    frequencies: Integer = Field(default=1000, ge=1, le=2**31 - 1)
    virtual_tokens: Integer = Field(default=20, ge=1, le=65536)
    query: bool = True
    key: bool = False
    value: bool = True
    attention_output: bool = False
    ffn_in: bool = False
    ffn_out: bool = False

    @property
    def targets(self) -> tuple[str, ...]:
        """Roles of the projections that are changed, in a fixed order."""
        return tuple(role for role in ROLES if getattr(self, role))


@dataclass(frozen=True)
class Surroundings:
    """What limits a setting: the backbone, the changed projections, the longest text."""

    shape: BackboneShape
    projections: tuple[Projection, ...]
    max_length: int


Limit = Callable[[int, Surroundings], str | None]
"""Returns why a value cannot work in its surroundings, or None if it can."""


def no_reason_against(_: BackboneShape) -> None:
    """Return that a method can work on a backbone."""


@dataclass(frozen=True)
class Method:
    """A method that is alone in its trial."""

    label: str
    """Its name as its paper writes it."""
    reads: tuple[str, ...] = ()
    """The settings of `library` that it reads, projections left out."""
    projection_parameters: Callable[[Any, Projection], Count] | None = None
    """Counts the scalars for one projection, from the settings. A method that has it changes projections."""
    layer_parameters: Callable[[BackboneShape], int] | None = None
    """Counts the scalars for one active layer."""
    shared_parameters: Callable[[Any, BackboneShape], Count] | None = None
    """Counts the scalars that a trial has once, from the settings."""
    weight_parameters: Callable[[Sequence[Count], Sequence[Count], BackboneShape], Count] | None = None
    """Counts the backbone's own weights that are trained, from the layers that are on and those that are
    there. A method that has it trains everything from the lowest of the former on."""
    limits: Mapping[str, Limit] = field(default_factory=dict)
    """Settings whose values do not fit every backbone."""
    unfit: Callable[[BackboneShape], str | None] = no_reason_against
    """Returns why the method cannot work on a backbone at all, or None if it can."""
    reads_frozen_weights: bool = False
    """Whether it computes with the frozen weights themselves, which a quantised backbone does not have."""
    adds_no_operations: bool = False
    """Whether it is known to cost no operations beside the backbone's own."""
    is_prompt: bool = False
    """Whether it puts trained tokens in front of the text. Such a method knows no layers."""
    learning_rate: float = DEFAULT_LEARNING_RATE
    """The rate that is usual for it with AdamW, which a factor of the learning rate multiplies."""
    in_preset: bool = True
    """Whether the preset `methods` offers it."""
    size_words: Callable[[LibrarySettings], str] | None = None
    """Words for its sizes, if the usual ones do not fit."""

    @property
    def is_targeted(self) -> bool:
        """Whether it changes projections, and so needs at least one role."""
        return self.projection_parameters is not None

    @property
    def trains_weights(self) -> bool:
        """Whether it trains the backbone's own weights, which a quantised backbone does not have."""
        return self.weight_parameters is not None

    @property
    def needs_whole_weights(self) -> bool:
        """Whether the backbone must not be quantised."""
        return self.reads_frozen_weights or self.trains_weights

    @property
    def settings(self) -> tuple[str, ...]:
        """Every setting of `library` that it reads."""
        return (*self.reads, *ROLES) if self.is_targeted else self.reads
