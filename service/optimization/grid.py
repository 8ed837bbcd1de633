"""Many candidates of a search space at once, as one table of codes.

A code is a level's index (switches, ordinals, categoricals) or a position in [0, 1] on the
parameter's scale (numbers); an inactive parameter has the code -1. Every table that a function here
returns is canonical: integers are rounded, and inactive parameters have no value.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float64
from numpy.typing import NDArray

from api_schemas.search_space import (
    BoolParameter,
    CategoricalParameter,
    FloatParameter,
    IntParameter,
    OrdinalParameter,
    Parameter,
    Parameterization,
    ParameterValue,
    SearchSpace,
)

INACTIVE = -1.0
SAME_CODE = 1e-9

Codes = Float64[np.ndarray, "n p"]


@dataclass(frozen=True)
class Axis:
    """One parameter: its levels in order (None for a number), and when it is active."""

    parameter: Parameter
    levels: tuple[ParameterValue, ...] | None
    parent: int | None
    parent_codes: tuple[float, ...]

    @property
    def ordered(self) -> bool:
        """Say whether codes that are near mean values that are near."""
        return not isinstance(self.parameter, CategoricalParameter)

    @property
    def width(self) -> int:
        """Count the columns in the unit cube."""
        return len(self.parameter.choices) if isinstance(self.parameter, CategoricalParameter) else 1


class Grid:
    """A search space, ready for arithmetic on many candidates."""

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        names = {parameter.name: place for place, parameter in enumerate(space.parameters)}
        axes: list[Axis] = []
        for parameter in space.parameters:
            parent = None if parameter.when is None else names[parameter.when.parameter]
            values = () if parameter.when is None else parameter.when.values
            codes = () if parent is None else tuple(_code(axes[parent], value) for value in values)
            axes.append(Axis(parameter, _levels(parameter), parent, codes))
        self.axes: tuple[Axis, ...] = tuple(axes)
        self.names = names

    def __len__(self) -> int:
        return len(self.axes)

    @cached_property
    def continuous(self) -> tuple[int, ...]:
        """List the axes that are real numbers."""
        return tuple(
            place for place, axis in enumerate(self.axes) if isinstance(axis.parameter, FloatParameter)
        )

    @cached_property
    def columns(self) -> tuple[int, ...]:
        """Give the first column of each axis in the unit cube."""
        return tuple(int(start) for start in np.cumsum([0, *(axis.width for axis in self.axes)])[:-1])

    @cached_property
    def dimensions(self) -> int:
        """Count the columns in the unit cube."""
        return sum(axis.width for axis in self.axes)

    def codes(self, parameterizations: Sequence[Parameterization]) -> Codes:
        """Write canonical parameterizations as codes."""
        table = np.full((len(parameterizations), len(self)), INACTIVE)
        for row, values in enumerate(parameterizations):
            for place, axis in enumerate(self.axes):
                if axis.parameter.name in values:
                    table[row, place] = _code(axis, values[axis.parameter.name])
        return table

    def parameterizations(self, codes: Codes) -> list[Parameterization]:
        """Write codes as canonical parameterizations."""
        return [
            {
                axis.parameter.name: _value(axis, code)
                for axis, code in zip(self.axes, row, strict=True)
                if code >= 0
            }
            for row in codes.tolist()
        ]

    def canonical(self, codes: Codes, *, fill: Codes) -> Codes:
        """Round integers, silence inactive parameters, give those that wake up the value of `fill`."""
        table = codes.copy()
        for place, axis in enumerate(self.axes):
            column = np.where(table[:, place] < 0, fill[:, place], table[:, place])
            if isinstance(axis.parameter, IntParameter):
                column = _rounded(axis.parameter, column)
            table[:, place] = np.where(self.active(table, place), column, INACTIVE)
        return table

    def active(self, codes: Codes, place: int) -> Bool[np.ndarray, " n"]:
        """Say where an axis is active, given the codes of the axes before it."""
        axis = self.axes[place]
        if axis.parent is None:
            return np.ones(len(codes), dtype=bool)
        # Positions of integers carry rounding errors; levels lie further apart than any of them.
        distance = np.abs(codes[:, axis.parent, None] - np.array(axis.parent_codes))
        return np.asarray(distance.min(axis=1) < SAME_CODE)

    def encode(self, codes: Codes) -> Float64[np.ndarray, "n d"]:
        """Give each candidate's row in the unit cube: see `encoding`."""
        X = np.zeros((len(codes), self.dimensions))
        for axis, start, column in zip(self.axes, self.columns, codes.T, strict=True):
            on = column >= 0
            if not axis.ordered:
                X[np.flatnonzero(on), start + column[on].astype(int)] = 1.0
            elif axis.levels is None:
                X[on, start] = column[on]
            else:
                X[on, start] = column[on] / (len(axis.levels) - 1)
        return X

    def decode(self, X: Float64[np.ndarray, "n d"]) -> Codes:
        """Give the nearest canonical candidate of each row of the unit cube."""
        table = np.empty((len(X), len(self)))
        for place, (axis, start) in enumerate(zip(self.axes, self.columns, strict=True)):
            if not axis.ordered:
                table[:, place] = X[:, start : start + axis.width].argmax(axis=1)
            elif axis.levels is None:
                table[:, place] = np.clip(X[:, start], 0.0, 1.0)
            else:
                table[:, place] = np.rint(X[:, start] * (len(axis.levels) - 1))
        return self.canonical(table, fill=table)


@dataclass(frozen=True)
class Candidates:
    """Canonical candidates, as a known metric reads them: by column, or one by one."""

    grid: Grid
    codes: Codes

    def __len__(self) -> int:
        return len(self.codes)

    def has(self, name: str) -> bool:
        """Say whether the search space has the parameter."""
        return name in self.grid.names

    def active(self, name: str) -> Bool[np.ndarray, " n"]:
        """Say where a parameter is active."""
        return np.asarray(self.codes[:, self.grid.names[name]] >= 0)

    def values(self, name: str) -> NDArray[np.generic]:
        """Give the values of a parameter; where it is inactive the entry means nothing."""
        place = self.grid.names[name]
        axis, column = self.grid.axes[place], np.maximum(self.codes[:, place], 0.0)
        if axis.levels is not None:
            mixed = not axis.ordered
            return np.asarray(np.array(axis.levels, dtype=object if mixed else None)[column.astype(int)])
        assert isinstance(axis.parameter, FloatParameter | IntParameter)  # noqa: S101  only these have none
        return np.asarray(numbers_at(axis.parameter, column))

    def parameterizations(self) -> list[Parameterization]:
        """Give the candidates one by one."""
        return self.grid.parameterizations(self.codes)


def _levels(parameter: Parameter) -> tuple[ParameterValue, ...] | None:
    if isinstance(parameter, BoolParameter):
        return (False, True)
    if isinstance(parameter, OrdinalParameter | CategoricalParameter):
        return parameter.choices
    return None


def _code(axis: Axis, value: ParameterValue) -> float:
    if axis.levels is not None:
        # type() tells True from 1, which Python calls equal; 1 and 1.0 stay equal.
        return float(
            next(
                index
                for index, level in enumerate(axis.levels)
                if level == value and isinstance(level, bool) == isinstance(value, bool)
            )
        )
    parameter, number = axis.parameter, float(value)
    assert isinstance(parameter, FloatParameter | IntParameter)  # noqa: S101  only these have no levels
    if parameter.log:
        return math.log(number / parameter.low) / math.log(parameter.high / parameter.low)
    return (number - parameter.low) / (parameter.high - parameter.low)


def _value(axis: Axis, code: float) -> ParameterValue:
    if axis.levels is not None:
        return axis.levels[int(code)]
    assert isinstance(axis.parameter, FloatParameter | IntParameter)  # noqa: S101  only these have none
    number = float(numbers_at(axis.parameter, np.array([code]))[0])
    return int(number) if isinstance(axis.parameter, IntParameter) else number


def numbers_at(
    parameter: FloatParameter | IntParameter, positions: Float64[np.ndarray, " n"]
) -> Float64[np.ndarray, " n"]:
    """Give the numbers at positions in [0, 1] of a parameter's scale, as floats."""
    if parameter.log:
        low, high = math.log(parameter.low), math.log(parameter.high)
        found = np.exp(low + positions * (high - low))
    else:
        found = parameter.low + positions * (parameter.high - parameter.low)
    if isinstance(parameter, IntParameter):
        found = np.rint(found)
    return np.clip(found, parameter.low, parameter.high)


def _rounded(parameter: IntParameter, positions: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    numbers = numbers_at(parameter, np.maximum(positions, 0.0))
    if parameter.log:
        return np.asarray(np.log(numbers / parameter.low) / math.log(parameter.high / parameter.low))
    return np.asarray((numbers - parameter.low) / (parameter.high - parameter.low))
