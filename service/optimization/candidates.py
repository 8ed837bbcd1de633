"""Where candidates come from: density sampling, neighbours, mutations, enumeration.

Every function gives canonical parameterizations and draws from the generator it is given.
"""

import itertools
import math
import random
from collections.abc import Iterator, Sequence

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
from service.optimization.encoding import value_at

STEP_DEVIATION = 0.1
"""Standard deviation of a small step of a number, as a share of its range."""

NUMBER_STEPS = 4
"""Small steps tried for each number when listing neighbours."""


def density_sample(space: SearchSpace, count: int, *, rng: random.Random) -> list[Parameterization]:
    """Draw parameterizations whose share of switches that are on is uniform.

    Independent fair switches would put about half of them on in every draw and never visit the
    sparse or the dense end.
    """
    return [_draw(space, rng) for _ in range(count)]


def neighbours(
    space: SearchSpace, parameterization: Parameterization, *, rng: random.Random
) -> Iterator[Parameterization]:
    """Change one parameter at a time: every other choice, a few small steps of a number."""
    for parameter in space.parameters:
        if parameter.name in parameterization:
            for value in _other_values(parameter, parameterization[parameter.name], rng):
                yield _with(space, parameterization, {parameter.name: value}, rng)


def mutation(
    space: SearchSpace, parameterization: Parameterization, *, rng: random.Random
) -> Parameterization:
    """Redraw two to four parameters."""
    active = [parameter for parameter in space.parameters if parameter.name in parameterization]
    chosen = rng.sample(active, min(len(active), rng.randint(2, 4)))
    return _with(
        space, parameterization, {parameter.name: _random_value(parameter, rng) for parameter in chosen}, rng
    )


def enumerate_space(space: SearchSpace, *, limit: int) -> list[Parameterization] | None:
    """List every canonical parameterization, or None if there are more than `limit` combinations."""
    choices = [_all_values(parameter) for parameter in space.parameters]
    if any(values is None for values in choices):
        return None
    listed = [values for values in choices if values is not None]
    if math.prod(len(values) for values in listed) > limit:
        return None
    names = [parameter.name for parameter in space.parameters]
    found = {}
    for values in itertools.product(*listed):
        canonical = space.active(dict(zip(names, values, strict=True)))
        found[repr(canonical)] = canonical
    return list(found.values())


def _draw(space: SearchSpace, rng: random.Random) -> Parameterization:
    density = rng.random()
    return space.active(
        {
            parameter.name: rng.random() < density
            if isinstance(parameter, BoolParameter)
            else _random_value(parameter, rng)
            for parameter in space.parameters
        }
    )


def _with(
    space: SearchSpace,
    parameterization: Parameterization,
    changes: Parameterization,
    rng: random.Random,
) -> Parameterization:
    # A change may wake parameters up that had no value; they are drawn.
    drawn = {parameter.name: _random_value(parameter, rng) for parameter in space.parameters}
    return space.active(drawn | parameterization | changes)


def _random_value(parameter: Parameter, rng: random.Random) -> ParameterValue:
    if isinstance(parameter, BoolParameter):
        return rng.random() < 0.5
    if isinstance(parameter, OrdinalParameter | CategoricalParameter):
        return parameter.choices[rng.randrange(len(parameter.choices))]
    return value_at(parameter, [rng.random()])


def _other_values(parameter: Parameter, value: ParameterValue, rng: random.Random) -> list[ParameterValue]:
    listed = _all_values(parameter)
    if listed is not None and not isinstance(parameter, IntParameter):
        return [
            other
            for other in listed
            if other is not value and (other != value or type(other) is not type(value))
        ]
    assert isinstance(parameter, FloatParameter | IntParameter)  # noqa: S101  the only ones not listed
    position = _position(parameter, float(value))
    steps = [
        value_at(parameter, [_reflected(position + rng.gauss(0.0, STEP_DEVIATION))])
        for _ in range(NUMBER_STEPS)
    ]
    if isinstance(parameter, IntParameter):
        steps += [
            int(value) + step for step in (-1, 1) if parameter.low <= int(value) + step <= parameter.high
        ]
    return [step for step in dict.fromkeys(steps) if step != value]


def _position(parameter: FloatParameter | IntParameter, value: float) -> float:
    if parameter.log:
        return math.log(value / parameter.low) / math.log(parameter.high / parameter.low)
    return (value - parameter.low) / (parameter.high - parameter.low)


def _reflected(position: float) -> float:
    return 1 - abs(1 - abs(position) % 2)


def _all_values(parameter: Parameter) -> Sequence[ParameterValue] | None:
    if isinstance(parameter, BoolParameter):
        return (False, True)
    if isinstance(parameter, OrdinalParameter | CategoricalParameter):
        return parameter.choices
    return range(parameter.low, parameter.high + 1) if isinstance(parameter, IntParameter) else None
