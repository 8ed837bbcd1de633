"""The parameters of a search space: which values each may take, and how each value is spelled.

A parameter's name is a dotted path into a `TrialConfiguration`, or any such word where the caller runs
the trials. Knows one parameter at a time: that its condition names another one is checked by the space.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Literal, Self, TypeVar

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from api_schemas.base import Schema
from api_schemas.json_values import (
    LARGEST_INTEGER,
    Identity,
    Integer,
    Number,
    ParameterValue,
    Storable,
    StorableNumber,
    identity,
    is_number,
)

PATH_PATTERN = r"^[A-Za-z][A-Za-z0-9_-]*(\.([A-Za-z][A-Za-z0-9_-]*|0|[1-9][0-9]{0,2}))*$"

MOST_CHOICES = 1000
STEPS_TO_ZERO = 10**9
"""No bound may be further from 0, in steps: beyond it a double no longer tells the steps apart."""
CLOSE = 1e-6
"""How far from a step a value may lie, as a share of the step."""

Range = TypeVar("Range", "FloatParameter", "IntParameter")
Name = Annotated[str, Field(pattern=PATH_PATTERN, max_length=200, examples=["training.learning_rate"])]


class Condition(Schema):
    """The parameter is active only where `parameter` is active and takes one of the values `in`."""

    parameter: Name
    values: tuple[Storable, ...] = Field(alias="in", min_length=1)

    @cached_property
    def waking(self) -> frozenset[Identity]:
        """Return the values, by identity."""
        return frozenset(map(identity, self.values))

    def met_by(self, value: ParameterValue) -> bool:
        """Return whether the parent's value wakes the parameter up."""
        return identity(value) in self.waking


def _with_legal_bounds(parameter: Range) -> Range:
    if parameter.low > parameter.high:
        raise PydanticCustomError("bounds_order", "low must not be greater than high")
    if parameter.log and parameter.low <= 0:
        raise PydanticCustomError("bounds_log", "a logarithmic scale needs low greater than 0")
    if parameter.step is None:
        return parameter
    if parameter.log:
        raise PydanticCustomError("step_log", "a logarithmic scale has no step; leave out one of the two")
    if max(abs(parameter.low), abs(parameter.high)) > STEPS_TO_ZERO * parameter.step:
        raise PydanticCustomError("step_size", "no bound may be more than a billion steps from 0")
    return parameter


class FloatParameter(Schema):
    """A real number in [low, high], searched on a logarithmic scale if `log`.

    With a `step` it is low, low + step, low + 2 step and so on, up to high.
    """

    type: Literal["float"] = "float"
    name: Name
    low: Number
    high: Number
    log: bool = False
    step: Annotated[Number, Field(gt=0)] | None = None
    when: Condition | None = None

    _checked = model_validator(mode="after")(_with_legal_bounds)

    @cached_property
    def steps(self) -> int | None:
        """Count the steps from the first value to the last; None where every number is one."""
        if self.step is None:
            return None
        return int((Decimal(repr(self.high)) - Decimal(repr(self.low))) / Decimal(repr(self.step)))

    @property
    def is_constant(self) -> bool:
        """Return whether there is one value only."""
        return self.low == self.high or self.steps == 0

    def value_at(self, steps: int) -> float:
        """Return the value so many steps from the first, in its shortest spelling: .3, not 3 * .1."""
        return float(Decimal(repr(self.low)) + steps * Decimal(repr(self.step)))

    def contains(self, value: object) -> bool:
        """Return whether the value is legal. An integer is a legal real number; a bool is not."""
        return is_number(value) and self.low <= value <= self.high and _on_step(self, value)

    def spelled(self, value: ParameterValue) -> ParameterValue:
        """Return a legal value in its one spelling; what is not legal stays as it is."""
        if not self.contains(value):
            return value
        return float(value) + 0.0 if self.step is None else self.value_at(_nearest_step(self, float(value)))


class IntParameter(Schema):
    """An integer in [low, high], searched on a logarithmic scale if `log`.

    With a `step` it is low, low + step, low + 2 step and so on, up to high.
    """

    type: Literal["int"] = "int"
    name: Name
    low: Integer = Field(ge=-LARGEST_INTEGER, le=LARGEST_INTEGER)
    high: Integer = Field(ge=-LARGEST_INTEGER, le=LARGEST_INTEGER)
    log: bool = False
    step: Annotated[Integer, Field(ge=1, le=LARGEST_INTEGER)] | None = None
    when: Condition | None = None

    _checked = model_validator(mode="after")(_with_legal_bounds)

    @property
    def steps(self) -> int | None:
        """Count the steps from the first value to the last; None where every integer is one."""
        return None if self.step is None else (self.high - self.low) // self.step

    @property
    def is_constant(self) -> bool:
        """Return whether there is one value only."""
        return self.low == self.high or self.steps == 0

    def value_at(self, steps: int) -> int:
        """Return the value so many steps from the first."""
        return self.low + steps * (self.step or 1)

    def contains(self, value: object) -> bool:
        """Return whether the value is legal. 1.0 is an integer; a bool is none."""
        if not is_number(value) or not self.low <= value <= self.high or value != int(value):
            return False
        return self.step is None or (int(value) - self.low) % self.step == 0

    def spelled(self, value: ParameterValue) -> ParameterValue:
        """Return a legal value in its one spelling; what is not legal stays as it is."""
        return int(value) if self.contains(value) else value


class OrdinalParameter(Schema):
    """One of a few numbers whose order matters and whose spacing does not."""

    type: Literal["ordinal"] = "ordinal"
    name: Name
    choices: tuple[StorableNumber, ...] = Field(min_length=1, max_length=MOST_CHOICES)
    when: Condition | None = None

    @model_validator(mode="after")
    def _check_choices(self) -> Self:
        if any(left >= right for left, right in zip(self.choices, self.choices[1:], strict=False)):
            raise PydanticCustomError("choices_order", "choices must be in increasing order, without repeats")
        return self

    @cached_property
    def positions(self) -> Mapping[Identity, int]:
        """Return the position of each choice, by its identity."""
        return {identity(choice): position for position, choice in enumerate(self.choices)}

    @property
    def is_constant(self) -> bool:
        """Return whether there is one value only."""
        return len(self.choices) == 1

    def contains(self, value: object) -> bool:
        """Return whether the value is legal."""
        return is_number(value) and identity(value) in self.positions

    def spelled(self, value: ParameterValue) -> ParameterValue:
        """Return a legal value in its one spelling; what is not legal stays as it is."""
        position = self.positions.get(identity(value))
        return value if position is None else self.choices[position]


class CategoricalParameter(Schema):
    """One of a few values without an order."""

    type: Literal["categorical"] = "categorical"
    name: Name
    choices: tuple[Storable, ...] = Field(min_length=1, max_length=MOST_CHOICES)
    when: Condition | None = None

    @model_validator(mode="after")
    def _check_choices(self) -> Self:
        if len(self.positions) < len(self.choices):
            raise PydanticCustomError("choices_repeat", "choices must not repeat")
        if any("\0" in choice for choice in self.choices if isinstance(choice, str)):
            raise PydanticCustomError("choices_text", "choices must be text without a NUL character")
        return self

    @cached_property
    def positions(self) -> Mapping[Identity, int]:
        """Return the position of each choice, by its identity."""
        return {identity(choice): position for position, choice in enumerate(self.choices)}

    @property
    def is_constant(self) -> bool:
        """Return whether there is one value only."""
        return len(self.choices) == 1

    def contains(self, value: object) -> bool:
        """Return whether the value is legal."""
        return isinstance(value, bool | int | float | str) and identity(value) in self.positions

    def spelled(self, value: ParameterValue) -> ParameterValue:
        """Return a legal value in its one spelling; what is not legal stays as it is."""
        position = self.positions.get(identity(value))
        return value if position is None else self.choices[position]


class BoolParameter(Schema):
    """A switch."""

    type: Literal["bool"] = "bool"
    name: Name
    when: Condition | None = None

    @property
    def is_constant(self) -> bool:
        """Return whether there is one value only."""
        return False

    def contains(self, value: object) -> bool:
        """Return whether the value is legal."""
        return isinstance(value, bool)

    def spelled(self, value: ParameterValue) -> ParameterValue:
        """Return a value in its one spelling."""
        return value


Parameter = Annotated[
    FloatParameter | IntParameter | OrdinalParameter | CategoricalParameter | BoolParameter,
    Field(discriminator="type"),
]


def values_of(parameter: Parameter) -> Sequence[ParameterValue]:
    """Return every value in order, a range of integers unlisted; of a range of real numbers, the ends."""
    if isinstance(parameter, BoolParameter):
        return (False, True)
    if isinstance(parameter, FloatParameter):
        return (parameter.low, parameter.high)
    if isinstance(parameter, IntParameter):
        return range(parameter.low, parameter.high + 1, parameter.step or 1)
    return parameter.choices


def extremes_of(parameter: Parameter) -> Sequence[ParameterValue]:
    """Return the ends of a range, or every choice."""
    values = values_of(parameter)
    return (values[0], values[-1]) if isinstance(parameter, IntParameter) else values


def _nearest_step(parameter: FloatParameter, value: float) -> int:
    assert parameter.step is not None and parameter.steps is not None  # noqa: S101, PT018  callers have looked
    return min(max(round((value - parameter.low) / parameter.step), 0), parameter.steps)


def _on_step(parameter: FloatParameter, value: float) -> bool:
    if parameter.step is None:
        return True
    nearest = parameter.value_at(_nearest_step(parameter, value))
    return abs(value - nearest) <= CLOSE * parameter.step
