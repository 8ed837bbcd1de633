"""Parameterizations in which every parameter is drawn evenly and on its own."""

import math
import random
import sys
from collections.abc import Sequence

from api_schemas.search_space import (
    BoolParameter,
    CategoricalParameter,
    FloatParameter,
    OrdinalParameter,
    Parameter,
    Parameterization,
    ParameterValue,
    SearchSpace,
)

LARGEST_EXPONENT = math.log(sys.float_info.max)


def parameterization_at(space: SearchSpace, shares: Sequence[float]) -> Parameterization:
    """Return the canonical parameterization at a point of the unit cube: a share in [0, 1) each.

    Equal parts of the interval go to each choice, switch position and integer (on a logarithmic
    scale: to each integer's part of it).
    """
    return space.active(
        {
            parameter.name: _value_at(parameter, share)
            for parameter, share in zip(space.parameters, shares, strict=True)
        }
    )


def even_draws(space: SearchSpace, count: int, *, rng: random.Random) -> list[Parameterization]:
    """Draw canonical parameterizations."""
    return [parameterization_at(space, [rng.random() for _ in space.parameters]) for _ in range(count)]


def _value_at(parameter: Parameter, share: float) -> ParameterValue:
    if isinstance(parameter, BoolParameter):
        return share >= 0.5
    if isinstance(parameter, OrdinalParameter | CategoricalParameter):
        return parameter.choices[int(share * len(parameter.choices))]
    if parameter.steps is not None:
        return parameter.value_at(int(share * (parameter.steps + 1)))
    if isinstance(parameter, FloatParameter):
        value = _between(parameter.low, parameter.high, share, log=parameter.log)
        return min(max(value, parameter.low), parameter.high) + 0.0
    whole = math.floor(_between(parameter.low, parameter.high + 1, share, log=parameter.log))
    return min(max(whole, parameter.low), parameter.high)


def _between(low: float, high: float, share: float, *, log: bool) -> float:
    if log:
        return math.exp(min(math.log(low) + share * (math.log(high) - math.log(low)), LARGEST_EXPONENT))
    if math.isinf(float(high) - low):
        return low * (1.0 - share) + high * share
    return low + share * (high - low)
