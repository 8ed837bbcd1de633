"""Many candidates of a search space at once, as one table of codes.

A code is a level's index (switches, ordinals, categoricals) or a position in [0, 1] on the
parameter's scale (numbers); an inactive parameter has the code -1. Every table that a function here
returns is canonical: integers are rounded, and inactive parameters have no value. Whether a parameter is
active depends on the exact value of its parent, as in `SearchSpace`, never on a value near it.

A row of the unit cube encodes a candidate for the models. A number takes one column, on its logarithm if
the parameter says so; an ordinal of K choices sits at i / (K - 1); a switch at 0 or 1; a categorical takes
one column for each choice. The columns of an inactive parameter are 0, which is unambiguous because its
parent has columns too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float64
from numpy.typing import NDArray

from api_schemas.json_values import identity
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
from service.optimization.number_scale import is_stepped, numbers_at, position_of, rounded

INACTIVE = -1.0

Codes = Float64[np.ndarray, "n p"]


@dataclass(frozen=True)
class Axis:
    """One parameter: its levels in order (None for a number), and when it is active.

    `activating` are the values of the parent that make it active: by level, or as sorted numbers.
    """

    parameter: Parameter
    levels: tuple[ParameterValue, ...] | None
    parent: int | None = None
    activating: NDArray[np.generic] | None = None

    @property
    def ordered(self) -> bool:
        """Return whether codes that are near mean values that are near."""
        return not isinstance(self.parameter, CategoricalParameter)

    @property
    def width(self) -> int:
        """Count the columns in the unit cube; a constant has none."""
        if self.parameter.is_constant:
            return 0
        return len(self.parameter.choices) if isinstance(self.parameter, CategoricalParameter) else 1


class Grid:
    """A search space, ready for arithmetic on many candidates."""

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self.names = {parameter.name: place for place, parameter in enumerate(space.parameters)}
        axes: list[Axis] = []
        for parameter in space.parameters:
            levels, when = _levels(parameter), parameter.when
            if when is None:
                axes.append(Axis(parameter, levels))
            else:
                parent = self.names[when.parameter]
                axes.append(Axis(parameter, levels, parent, _activating(axes[parent], when.values)))
        self.axes: tuple[Axis, ...] = tuple(axes)

    def __len__(self) -> int:
        return len(self.axes)

    @cached_property
    def continuous(self) -> tuple[int, ...]:
        """List the axes that are real numbers and may vary."""
        return tuple(
            place
            for place, axis in enumerate(self.axes)
            if isinstance(axis.parameter, FloatParameter) and axis.parameter.step is None and axis.width
        )

    @cached_property
    def conditional(self) -> bool:
        """Return whether any parameter can be inactive."""
        return any(axis.parent is not None for axis in self.axes)

    @cached_property
    def _exact(self) -> dict[int, tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Return, for each number that activates others, the values that do, with their positions first."""
        by_parent: dict[int, set[float]] = {}
        for axis in self.axes:
            if (
                axis.parent is not None
                and axis.activating is not None
                and self.axes[axis.parent].levels is None
            ):
                by_parent.setdefault(axis.parent, set()).update(axis.activating.tolist())
        return {place: self._positions(place, sorted(values)) for place, values in by_parent.items()}

    def _positions(
        self, place: int, values: Sequence[float]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        positions = np.array([_code(self.axes[place], value) for value in values])
        order = np.argsort(positions, kind="stable")
        return positions[order], np.array(values)[order]

    @cached_property
    def columns(self) -> tuple[int, ...]:
        """Return the first column of each axis in the unit cube."""
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
        columns = [self._values(place, codes[:, place]) for place in range(len(self))]
        names = [axis.parameter.name for axis in self.axes]
        return [
            {name: column[row] for name, column, code in zip(names, columns, coded, strict=True) if code >= 0}
            for row, coded in enumerate(codes.tolist())
        ]

    def _values(self, place: int, column: Float64[np.ndarray, " n"]) -> list[ParameterValue]:
        axis = self.axes[place]
        if axis.levels is not None:
            return [axis.levels[max(int(code), 0)] for code in column.tolist()]
        numbers: list[float] = self.numbers(place, column).tolist()
        return [int(number) for number in numbers] if isinstance(axis.parameter, IntParameter) else [*numbers]

    def numbers(self, place: int, column: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
        """Return the numbers at codes of an axis without levels; meaningless where it is inactive."""
        parameter = self.axes[place].parameter
        assert isinstance(parameter, FloatParameter | IntParameter)  # noqa: S101  only these have none
        column = np.maximum(column, 0.0)
        numbers = numbers_at(parameter, column)
        if place in self._exact:
            # A rounding error from a value to its position and back would deactivate the children.
            positions, values = self._exact[place]
            nearest = np.minimum(np.searchsorted(positions, column), len(positions) - 1)
            at_end = (numbers == parameter.low) | (numbers == parameter.high)
            numbers = np.where((positions[nearest] == column) & ~at_end, values[nearest], numbers)
        return np.asarray(numbers)

    def canonical(self, codes: Codes, *, fill: Codes) -> Codes:
        """Return codes with integers rounded, inactive parameters at -1, activated ones from `fill`."""
        table = codes.copy()
        for place, axis in enumerate(self.axes):
            column = np.where(table[:, place] < 0, fill[:, place], table[:, place])
            if axis.width == 0:
                column = np.zeros(len(table))
            elif isinstance(axis.parameter, FloatParameter | IntParameter) and is_stepped(axis.parameter):
                column = rounded(axis.parameter, column)
            table[:, place] = np.where(self.active(table, place), column, INACTIVE)
        return table

    def active(self, codes: Codes, place: int) -> Bool[np.ndarray, " n"]:
        """Return where an axis is active, given the codes of the axes before it."""
        parent, activating = self.axes[place].parent, self.axes[place].activating
        if parent is None or activating is None:
            return np.ones(len(codes), dtype=bool)
        column = codes[:, parent]
        if self.axes[parent].levels is not None:
            active = np.asarray(activating[np.maximum(column, 0.0).astype(int)], dtype=bool)
        else:
            active = np.isin(self.numbers(parent, column), activating)
        return np.asarray((column >= 0) & active)

    def differs(self, codes: Codes, other: Codes) -> Bool[np.ndarray, "n p"]:
        """Return in which parameters candidates have other values, or are active where the others are not."""
        differs = (codes >= 0) != (other >= 0)
        for place, axis in enumerate(self.axes):
            if axis.levels is not None:
                differs[:, place] |= codes[:, place] != other[:, place]
            else:
                differs[:, place] |= self.numbers(place, codes[:, place]) != self.numbers(
                    place, other[:, place]
                )
        return np.asarray(differs)

    def encode(self, codes: Codes) -> Float64[np.ndarray, "n d"]:
        """Return each candidate's row in the unit cube."""
        X = np.zeros((len(codes), self.dimensions))
        for axis, start, column in zip(self.axes, self.columns, codes.T, strict=True):
            on = column >= 0
            if axis.width == 0:
                continue
            if not axis.ordered:
                X[np.flatnonzero(on), start + column[on].astype(int)] = 1.0
            elif axis.levels is None:
                X[on, start] = column[on]
            else:
                X[on, start] = column[on] / (len(axis.levels) - 1)
        return X

    def decode(self, X: Float64[np.ndarray, "n d"]) -> Codes:
        """Return the nearest canonical candidate of each row of the unit cube."""
        table = np.empty((len(X), len(self)))
        for place, (axis, start) in enumerate(zip(self.axes, self.columns, strict=True)):
            if axis.width == 0:
                table[:, place] = 0.0
            elif not axis.ordered:
                table[:, place] = X[:, start : start + axis.width].argmax(axis=1)
            elif axis.levels is None:
                table[:, place] = np.clip(X[:, start], 0.0, 1.0)
            else:
                table[:, place] = np.rint(X[:, start] * (len(axis.levels) - 1))
        return self.canonical(table, fill=table)


@dataclass(frozen=True)
class Candidates:
    """Canonical candidates, as an exact metric reads them: by column, or one by one."""

    grid: Grid
    codes: Codes

    def __len__(self) -> int:
        return len(self.codes)

    def has(self, name: str) -> bool:
        """Return whether the search space has the parameter."""
        return name in self.grid.names

    def active(self, name: str) -> Bool[np.ndarray, " n"]:
        """Return where a parameter is active."""
        return np.asarray(self.codes[:, self.grid.names[name]] >= 0)

    def values(self, name: str) -> NDArray[np.generic]:
        """Return the values of a parameter; entries are meaningless where it is inactive."""
        place = self.grid.names[name]
        axis, column = self.grid.axes[place], np.maximum(self.codes[:, place], 0.0)
        if axis.levels is not None:
            mixed = not axis.ordered
            return np.asarray(np.array(axis.levels, dtype=object if mixed else None)[column.astype(int)])
        return np.asarray(self.grid.numbers(place, column))

    def takes(self, name: str, value: ParameterValue) -> Bool[np.ndarray, " n"]:
        """Return where a parameter is active and has a value, which is one of its values."""
        place = self.grid.names[name]
        axis = self.grid.axes[place]
        if axis.levels is not None:
            return np.asarray(self.codes[:, place] == _code(axis, value))
        return np.asarray(self.active(name) & (self.values(name) == value))

    def parameterizations(self) -> list[Parameterization]:
        """Return the candidates one by one."""
        return self.grid.parameterizations(self.codes)


def _levels(parameter: Parameter) -> tuple[ParameterValue, ...] | None:
    if isinstance(parameter, BoolParameter):
        return (False, True)
    if isinstance(parameter, OrdinalParameter | CategoricalParameter):
        return parameter.choices
    return None


def _code(axis: Axis, value: ParameterValue) -> float:
    parameter = axis.parameter
    if isinstance(parameter, BoolParameter):
        return float(bool(value))
    if isinstance(parameter, OrdinalParameter | CategoricalParameter):
        return float(parameter.positions[identity(value)])
    return position_of(parameter, float(value))


def _activating(parent: Axis, values: Sequence[ParameterValue]) -> NDArray[np.generic]:
    if parent.levels is None:
        return np.unique(np.array([float(parent.parameter.spelled(value)) for value in values]))
    active = np.zeros(len(parent.levels), dtype=bool)
    active[[int(_code(parent, value)) for value in values]] = True
    return active
