"""The search space language: parameters, their values and the conditions under which they are active.

A parameter's name is a dotted path into a `TrialConfiguration`, or any such word where the caller runs
the trials. This module checks what can be checked without knowing that type: bounds, choices, unique
names, conditions. Whether a path exists and its values are legal there is checked when a study is admitted.
"""

from collections.abc import Mapping
from enum import StrEnum
from functools import cached_property
from typing import Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from api_schemas.base import Schema
from api_schemas.expression import Expression
from api_schemas.json_values import LARGEST_INTEGER as LARGEST_INTEGER
from api_schemas.json_values import Parameterization as Parameterization
from api_schemas.json_values import ParameterValue as ParameterValue
from api_schemas.parameters import PATH_PATTERN as PATH_PATTERN
from api_schemas.parameters import BoolParameter as BoolParameter
from api_schemas.parameters import CategoricalParameter as CategoricalParameter
from api_schemas.parameters import Condition as Condition
from api_schemas.parameters import FloatParameter as FloatParameter
from api_schemas.parameters import IntParameter as IntParameter
from api_schemas.parameters import OrdinalParameter as OrdinalParameter
from api_schemas.parameters import Parameter as Parameter
from api_schemas.parameters import extremes_of as extremes_of
from api_schemas.parameters import values_of as values_of

MOST_PARAMETERS = 1000
MOST_WAKING_VALUES = 1000
"""Of one condition."""
MOST_VALUES = 100_000
"""Choices and waking values of a whole search space."""


class PresetName(StrEnum):
    """Search spaces that come with Paretune; `expand_preset` turns one into plain parameters."""

    AUTO = "auto"
    """Every method that people use, full fine-tuning among them; the learning rate by each method's own."""
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
    DEPTH = "depth"
    """How many layers of the backbone stay, and which; the recipe is the configuration's."""
    DEPTH_WIDTH = "depth_width"
    """Also how wide the feed-forward blocks of these layers are."""
    GROUPED = "grouped"
    """`depth`, and a width for each half or third of the layers, which plain transformers cannot open."""
    JOINT = "joint"
    """`depth_width` and `auto` together."""


class SearchSpace(Schema):
    """A list of parameters. A condition may only refer to a parameter that stands before it.

    `identity` is one expression or several with commas between them. In a custom study, two parameterizations
    for which all of them have the same values (to 12 digits) are the same trial.
    """

    parameters: tuple[Parameter, ...] = Field(min_length=1, max_length=MOST_PARAMETERS)
    identity: Expression | None = None

    @model_validator(mode="after")
    def _check_names_and_conditions(self) -> Self:
        seen: dict[str, Parameter] = {}
        for position, parameter in enumerate(self.parameters):
            _check_name(parameter.name, position, seen)
            _check_condition(parameter, position, seen)
            seen[parameter.name] = parameter
        return self

    @cached_property
    def by_name(self) -> Mapping[str, Parameter]:
        """Return the parameters by their names."""
        return {parameter.name: parameter for parameter in self.parameters}

    def canonical(self, values: Mapping[str, ParameterValue]) -> Parameterization:
        """Keep the values of active parameters only, each in the one spelling of its parameter.

        Without an `identity`, two parameterizations are one configuration of this space exactly if this is
        the same for both.
        """
        return self.active(
            {
                parameter.name: parameter.spelled(values[parameter.name])
                for parameter in self.parameters
                if parameter.name in values
            }
        )

    def active(self, values: Mapping[str, ParameterValue]) -> Parameterization:
        """Keep the values of active parameters only, as they are spelled."""
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
    """What a client posts: a preset, parameters of its own, or both (its own win over the preset's).

    `identity` is as in a search space.
    """

    preset: PresetName | None = None
    parameters: tuple[Parameter, ...] = Field(default=(), max_length=MOST_PARAMETERS)
    identity: Expression | None = None

    @model_validator(mode="after")
    def _check_not_empty(self) -> Self:
        if self.preset is None and not self.parameters:
            raise PydanticCustomError(
                "empty_space", "the search space is empty: name a preset or give parameters"
            )
        _check_sizes(self.parameters)
        if self.parameters:
            SearchSpace(parameters=self.parameters) if self.preset is None else _check_unique(self.parameters)
        return self


def _is_on(when: Condition | None, kept: Mapping[str, ParameterValue]) -> bool:
    return when is None or (when.parameter in kept and when.met_by(kept[when.parameter]))


def _check_sizes(parameters: tuple[Parameter, ...]) -> None:
    total = 0
    for position, parameter in enumerate(parameters):
        waking = 0 if parameter.when is None else len(parameter.when.values)
        if waking > MOST_WAKING_VALUES:
            raise PydanticCustomError(
                "condition_length",
                "the condition of '{name}' waits for {count} values; {most} are the most",
                {
                    "name": parameter.name,
                    "count": waking,
                    "most": MOST_WAKING_VALUES,
                    "pointer": f"parameters/{position}/when/in",
                },
            )
        total += waking + len(getattr(parameter, "choices", ()))
    if total > MOST_VALUES:
        raise PydanticCustomError(
            "space_size",
            "the search space has {count} choices and values of conditions; {most} are the most",
            {"count": total, "most": MOST_VALUES, "pointer": "parameters"},
        )


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
