"""The search space language: parameters, their values and the conditions under which they are active.

A parameter's name is a dotted path into a `TrialConfiguration`, or any such word where the caller runs
the trials. This module checks what can be checked without knowing that type: bounds, choices, unique
names, conditions. Whether a path exists and its values are legal there is checked when a study is admitted.
"""

import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, StrictBool, StrictFloat, StrictInt, StrictStr, model_validator
from pydantic_core import PydanticCustomError

from api_schemas.base import Schema

ParameterValue = StrictBool | StrictInt | StrictFloat | StrictStr
"""One value of one parameter. Strict, so that `true`, `1` and `"1"` stay three different values."""

Parameterization = dict[str, ParameterValue]
"""Parameter name to value. Inactive parameters are absent: that is their one canonical form."""

PATH_PATTERN = r"^[A-Za-z][A-Za-z0-9_-]*(\.([A-Za-z][A-Za-z0-9_-]*|0|[1-9][0-9]{0,2}))*$"
LARGEST_INTEGER = 2**53
"""Beyond it, not every reader of JSON tells integers apart."""

Name = Annotated[str, Field(pattern=PATH_PATTERN, max_length=200, examples=["training.learning_rate"])]


class PresetName(StrEnum):
    """Search spaces that come with Paretune; `expand_preset` turns one into plain parameters."""

    AUTOPEFT = "autopeft"
    """The paper's space: one size each for serial adapter, parallel adapter and prefix; a switch a layer."""
    AUTOPEFT_BY_LAYER = "autopeft_by_layer"
    """Beyond the paper: sizes layer by layer, the first active layer, and the learning rate."""
    LORA = "lora"
    """One rank, a switch for each projection and each layer, and the learning rate."""
    LORA_BY_LAYER = "lora_by_layer"
    """A rank for every projection of every layer, and the learning rate."""
    METHODS = "methods"
    """The method itself, the sizes that it reads, and the learning rate."""


class Condition(Schema):
    """The parameter is active only where `parameter` is active and takes one of the values `in`."""

    parameter: Name
    values: tuple[ParameterValue, ...] = Field(alias="in", min_length=1)

    def met_by(self, value: ParameterValue) -> bool:
        """Say whether the parent's value wakes the parameter up."""
        return _tagged(value) in {_tagged(waking) for waking in self.values}


class FloatParameter(Schema):
    """A real number in [low, high], searched on a logarithmic scale if `log`."""

    type: Literal["float"] = "float"
    name: Name
    low: float
    high: float
    log: bool = False
    when: Condition | None = None

    @model_validator(mode="after")
    def _check_bounds(self) -> Self:
        _check_bounds(self)
        return self

    def contains(self, value: ParameterValue) -> bool:
        """Say whether the value is legal. An integer is a legal real number; a bool is not."""
        return not isinstance(value, bool | str) and self.low <= value <= self.high


class IntParameter(Schema):
    """An integer in [low, high], searched on a logarithmic scale if `log`."""

    type: Literal["int"] = "int"
    name: Name
    low: int = Field(ge=-LARGEST_INTEGER, le=LARGEST_INTEGER)
    high: int = Field(ge=-LARGEST_INTEGER, le=LARGEST_INTEGER)
    log: bool = False
    when: Condition | None = None

    @model_validator(mode="after")
    def _check_bounds(self) -> Self:
        _check_bounds(self)
        return self

    def contains(self, value: ParameterValue) -> bool:
        """Say whether the value is legal."""
        return isinstance(value, int) and not isinstance(value, bool) and self.low <= value <= self.high


class OrdinalParameter(Schema):
    """One of a few numbers whose order matters and whose spacing does not."""

    type: Literal["ordinal"] = "ordinal"
    name: Name
    choices: tuple[StrictInt | StrictFloat, ...] = Field(min_length=2, max_length=1000)
    when: Condition | None = None

    @model_validator(mode="after")
    def _check_choices(self) -> Self:
        if any(left >= right for left, right in zip(self.choices, self.choices[1:], strict=False)):
            raise PydanticCustomError("choices_order", "choices must be in increasing order, without repeats")
        return self

    def contains(self, value: ParameterValue) -> bool:
        """Say whether the value is legal."""
        return not isinstance(value, bool | str) and value in self.choices


class CategoricalParameter(Schema):
    """One of a few values without an order."""

    type: Literal["categorical"] = "categorical"
    name: Name
    choices: tuple[ParameterValue, ...] = Field(min_length=2, max_length=1000)
    when: Condition | None = None

    @model_validator(mode="after")
    def _check_choices(self) -> Self:
        if len({_tagged(choice) for choice in self.choices}) < len(self.choices):
            raise PydanticCustomError("choices_repeat", "choices must not repeat")
        if any("\0" in choice for choice in self.choices if isinstance(choice, str)):
            raise PydanticCustomError("choices_text", "choices must be text without a NUL character")
        return self

    def contains(self, value: ParameterValue) -> bool:
        """Say whether the value is legal."""
        return _tagged(value) in {_tagged(choice) for choice in self.choices}


class BoolParameter(Schema):
    """A switch."""

    type: Literal["bool"] = "bool"
    name: Name
    when: Condition | None = None

    def contains(self, value: ParameterValue) -> bool:
        """Say whether the value is legal."""
        return isinstance(value, bool)


Parameter = Annotated[
    FloatParameter | IntParameter | OrdinalParameter | CategoricalParameter | BoolParameter,
    Field(discriminator="type"),
]


class SearchSpace(Schema):
    """A list of parameters. A condition may only refer to a parameter that stands before it."""

    parameters: tuple[Parameter, ...] = Field(min_length=1, max_length=1000)

    @model_validator(mode="after")
    def _check_names_and_conditions(self) -> Self:
        seen: dict[str, Parameter] = {}
        for position, parameter in enumerate(self.parameters):
            _check_name(parameter.name, position, seen)
            _check_condition(parameter, position, seen)
            seen[parameter.name] = parameter
        return self

    def canonical(self, values: Mapping[str, ParameterValue]) -> Parameterization:
        """Keep legal values of active parameters only, each in the one spelling of its parameter."""
        spelled = {
            parameter.name: _spelled(parameter, values[parameter.name])
            for parameter in self.parameters
            if parameter.name in values
        }
        return self.active(spelled)

    def active(self, values: Mapping[str, ParameterValue]) -> Parameterization:
        """Keep the values of active parameters only: the canonical form of a parameterization."""
        kept: Parameterization = {}
        for parameter in self.parameters:
            if parameter.name in values and _is_on(parameter.when, kept):
                kept[parameter.name] = values[parameter.name]
        return kept

    def missing(self, values: Mapping[str, ParameterValue]) -> list[str]:
        """Name the active parameters that have no value."""
        kept = self.active(values)
        return [
            parameter.name
            for parameter in self.parameters
            if parameter.name not in kept and _is_on(parameter.when, kept)
        ]


class SearchSpaceRequest(Schema):
    """What a client posts: a preset, parameters of its own, or both (its own win over the preset's)."""

    preset: PresetName | None = None
    parameters: tuple[Parameter, ...] = Field(default=(), max_length=1000)

    @model_validator(mode="after")
    def _check_not_empty(self) -> Self:
        if self.preset is None and not self.parameters:
            raise PydanticCustomError(
                "empty_space", "the search space is empty: name a preset or give parameters"
            )
        if self.parameters:
            SearchSpace(parameters=self.parameters) if self.preset is None else _check_unique(self.parameters)
        return self


def _tagged(value: ParameterValue) -> tuple[bool, ParameterValue]:
    """Tell `True` from `1`, which Python calls equal; `1` and `1.0` stay equal."""
    return isinstance(value, bool), value


def _is_on(when: Condition | None, kept: Mapping[str, ParameterValue]) -> bool:
    return when is None or (when.parameter in kept and when.met_by(kept[when.parameter]))


def _spelled(parameter: Parameter, value: ParameterValue) -> ParameterValue:
    if isinstance(parameter, FloatParameter):
        return float(value)
    if isinstance(parameter, OrdinalParameter | CategoricalParameter):
        return next(choice for choice in parameter.choices if _tagged(choice) == _tagged(value))
    return value


def _check_bounds(parameter: FloatParameter | IntParameter) -> None:
    if not math.isfinite(parameter.low) or not math.isfinite(parameter.high):
        raise PydanticCustomError("bounds_finite", "low and high must be finite numbers")
    if parameter.low >= parameter.high:
        raise PydanticCustomError("bounds_order", "low must be less than high")
    if parameter.log and parameter.low <= 0:
        raise PydanticCustomError("bounds_log", "a logarithmic scale needs low greater than 0")


def _check_name(name: str, position: int, seen: Mapping[str, Parameter]) -> None:
    if name in seen:
        raise PydanticCustomError(
            "duplicate_name",
            "parameter {position} repeats the name '{name}'; every name may stand once",
            {"position": position, "name": name, "pointer": f"parameters/{position}/name"},
        )


def _check_unique(parameters: tuple[Parameter, ...]) -> None:
    seen: dict[str, Parameter] = {}
    for position, parameter in enumerate(parameters):
        _check_name(parameter.name, position, seen)
        seen[parameter.name] = parameter


def _check_condition(parameter: Parameter, position: int, seen: Mapping[str, Parameter]) -> None:
    when = parameter.when
    if when is None:
        return
    parent = seen.get(when.parameter)
    if parent is None:
        raise PydanticCustomError(
            "condition_parent",
            "the condition of '{name}' refers to '{parent}', which is no parameter before it",
            {
                "name": parameter.name,
                "parent": when.parameter,
                "pointer": f"parameters/{position}/when/parameter",
            },
        )
    illegal = [value for value in when.values if not parent.contains(value)]
    if illegal:
        raise PydanticCustomError(
            "condition_value",
            "the condition of '{name}' waits for {value}, which '{parent}' never takes",
            {
                "name": parameter.name,
                "value": repr(illegal[0]),
                "parent": when.parameter,
                "pointer": f"parameters/{position}/when/in",
            },
        )
