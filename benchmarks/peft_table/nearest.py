"""Rows of the table as points of the space `auto`, and the row nearest to what a searcher asks for.

A table holds a sample of the space. Every searcher asks as it would ask for a training, gets the nearest row
that it has not tried, and is told which. All layers together weigh as much as one size; so do projections.
"""

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
from jaxtyping import Float64

from api_schemas.derived_settings import LEARNING_RATE_FACTOR
from api_schemas.peft.methods_preset import METHOD
from api_schemas.peft.registry import PeftMethod
from api_schemas.search_space import (
    OrdinalParameter,
    Parameter,
    Parameterization,
    ParameterValue,
    SearchSpace,
)
from api_schemas.trial_configuration import TrialConfiguration, read
from benchmarks.peft_table.configurations import auto_space, searched_shape
from service.optimization.grid import Grid

RATE_WEIGHT = 3.0
"""A factor of eight between learning rates is as far as a whole size range: rates matter most."""

FIRST_LAYER = "peft.first_active_layer"

GROUPS = ("peft.active_layers.", "peft.lora.", "peft.library.")


@cache
def space() -> SearchSpace:
    """Return `auto` for the table's backbone."""
    return auto_space(searched_shape())


def point_of(configuration: TrialConfiguration) -> Parameterization | None:
    """Return the parameterization of `auto` for a configuration, sizes rounded to those that `auto` has.

    None if `auto` does not hold it: its learning rate is too far from the method's own.
    """
    parameters, peft = space().by_name, configuration.peft
    values = read(configuration, parameters)
    active = peft.active_layers or ()
    if not any(active):
        values[METHOD] = PeftMethod.HEAD_ONLY.value
    elif peft.method is PeftMethod.FULL:
        values[FIRST_LAYER] = active.index(True)
    point = space().active({name: _nearest(parameters[name], value) for name, value in values.items()})
    return point if all(parameters[name].contains(value) for name, value in point.items()) else None


def _nearest(parameter: Parameter, value: ParameterValue) -> ParameterValue:
    if not isinstance(parameter, OrdinalParameter) or parameter.contains(value) or isinstance(value, str):
        return value
    # Zero leaves a module out, and is near to no other size.
    return min(
        (one for one in parameter.choices if one), key=lambda one: abs(math.log(one) - math.log(value))
    )


class Nearest:
    """Distances between points of the space and rows of a table."""

    def __init__(self, points: Sequence[Parameterization], space: SearchSpace) -> None:
        self.grid = Grid(space)
        self.points = list(points)
        self._X = self._embedded(self.points)

    def row(self, wanted: Parameterization, *, among: Sequence[int]) -> int:
        """Return which of the rows `among` is nearest, the first of equally near ones."""
        x = self._embedded([wanted])[0]
        return among[int(np.argmin(((self._X[list(among)] - x) ** 2).sum(axis=1)))]

    def _embedded(self, points: Sequence[Parameterization]) -> Float64[np.ndarray, "n d"]:
        return self.grid.encode(self.grid.codes(points)) * np.sqrt(self._weights())

    def _weights(self) -> Float64[np.ndarray, " d"]:
        weights = []
        for axis in self.grid.axes:
            name = axis.parameter.name
            group = next((one for one in GROUPS if name.startswith(one)), None)
            switch = group is not None and axis.levels == (False, True)
            of_group = sum(one.parameter.name.startswith(group or "\0") for one in self.grid.axes)
            # Two methods differ in two columns; nothing else may outweigh that.
            weight = 1 / of_group if switch else RATE_WEIGHT if name == LEARNING_RATE_FACTOR else 1.0
            weights += [10.0 if name == METHOD else weight] * axis.width
        return np.array(weights)
