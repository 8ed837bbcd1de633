"""Parameterizations as rows of the unit cube, and back without loss.

A number takes one column, on its logarithm if the parameter says so; an ordinal of K choices sits
at i / (K - 1); a switch at 0 or 1; a categorical takes one column for each choice. The columns of an
inactive parameter are 0, which is unambiguous because its parent stands before it.
"""

import math
from collections.abc import Sequence
from itertools import accumulate

import torch
from jaxtyping import Float64
from torch import Tensor

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


def dimensions(space: SearchSpace) -> int:
    """Count the columns."""
    return sum(_width(parameter) for parameter in space.parameters)


def columns_of(space: SearchSpace) -> list[slice]:
    """Say which columns each parameter takes, in the order of the parameters."""
    ends = list(accumulate(_width(parameter) for parameter in space.parameters))
    return [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]


def encode(space: SearchSpace, parameterizations: Sequence[Parameterization]) -> Float64[Tensor, "n d"]:
    """Give one row for each canonical parameterization."""
    rows = [
        [
            column
            for parameter in space.parameters
            for column in _columns(parameter, parameterization.get(parameter.name))
        ]
        for parameterization in parameterizations
    ]
    return torch.tensor(rows, dtype=torch.double).reshape(len(rows), dimensions(space))


def decode(space: SearchSpace, rows: Float64[Tensor, "n d"]) -> list[Parameterization]:
    """Give the nearest canonical parameterization of each row."""
    return [_decode_row(space, row) for row in rows.tolist()]


def value_at(parameter: Parameter, columns: Sequence[float]) -> ParameterValue:
    """Give the value whose columns are nearest."""
    if isinstance(parameter, BoolParameter):
        return columns[0] >= 0.5
    if isinstance(parameter, OrdinalParameter):
        return parameter.choices[round(columns[0] * (len(parameter.choices) - 1))]
    if isinstance(parameter, CategoricalParameter):
        return parameter.choices[max(range(len(columns)), key=columns.__getitem__)]
    low, high = (
        (math.log(parameter.low), math.log(parameter.high))
        if parameter.log
        else (parameter.low, parameter.high)
    )
    value = low + columns[0] * (high - low)
    value = math.exp(value) if parameter.log else value
    if isinstance(parameter, IntParameter):
        return min(max(round(value), parameter.low), parameter.high)
    return float(min(max(value, parameter.low), parameter.high))


def _decode_row(space: SearchSpace, row: Sequence[float]) -> Parameterization:
    values: Parameterization = {}
    start = 0
    for parameter in space.parameters:
        width = _width(parameter)
        values[parameter.name] = value_at(parameter, row[start : start + width])
        start += width
    return space.active(values)


def _width(parameter: Parameter) -> int:
    return len(parameter.choices) if isinstance(parameter, CategoricalParameter) else 1


def _columns(parameter: Parameter, value: ParameterValue | None) -> list[float]:
    if value is None:
        return [0.0] * _width(parameter)
    if isinstance(parameter, CategoricalParameter):
        # type() tells True from 1, which Python calls equal.
        return [float(choice == value and type(choice) is type(value)) for choice in parameter.choices]
    if isinstance(parameter, OrdinalParameter):
        return [parameter.choices.index(value) / (len(parameter.choices) - 1)]
    number = float(value)
    if isinstance(parameter, FloatParameter | IntParameter):
        if parameter.log:
            low, high = math.log(parameter.low), math.log(parameter.high)
            return [(math.log(number) - low) / (high - low)]
        return [(number - parameter.low) / (parameter.high - parameter.low)]
    return [number]
