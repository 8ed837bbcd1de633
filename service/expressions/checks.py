"""Whether an expression can be computed over a search space. Knows one expression and one space."""

import random
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from math import prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from api_schemas.json_values import Parameterization, ParameterValue, identity, is_number, written
from api_schemas.near_names import did_you_mean
from api_schemas.objectives import LARGEST_METRIC
from api_schemas.search_space import (
    CategoricalParameter,
    FloatParameter,
    IntParameter,
    Parameter,
    SearchSpace,
    extremes_of,
    values_of,
)
from service.expressions.evaluation import Numbers, Rows, compared_choice, evaluate
from service.expressions.tree import Active, Call, Default, Literal, Node, Read, Table, children, walk

Fits = Callable[[Numbers], NDArray[np.bool_]]
"""Which values an expression may have."""

CORNERS = 4096
CORNER_VALUES = 200_000
"""Corners that an expression is tried at, and their values in all; of more, so many drawn at random."""


class Fault(NamedTuple):
    """What is wrong, and where: `at` counts characters from 1."""

    at: int
    sentence: str


def faults(node: Node, space: SearchSpace) -> Iterator[Fault]:
    """Find parameters that the space lacks, values that they never take, and texts among numbers."""
    for part in walk(node):
        if isinstance(part, Read | Active | Default | Table) and part.name not in space.by_name:
            names = list(space.by_name)
            yield Fault(
                part.at, f"the search space has no parameter '{part.name}'. {did_you_mean(part.name, names)}"
            )
        elif isinstance(part, Table):
            yield from _table_faults(part, space.by_name[part.name])
        elif isinstance(part, Default):
            yield from _text_faults(Read(part.name, part.at), space)
    yield from _kind_faults(node, space)


def undefined_at(node: Node, space: SearchSpace, *, fits: Fits) -> Parameterization | None:
    """Return a corner of the space where the value does not fit, as far as one is found."""
    corners = _corners(node, space)
    bad = np.flatnonzero(~fits(evaluate(node, Rows(corners))))
    return corners[int(bad[0])] if len(bad) else None


def is_metric(values: Numbers) -> NDArray[np.bool_]:
    """Return which values may be those of a metric: finite, and not too large to measure a volume with."""
    return np.asarray(np.abs(values) <= LARGEST_METRIC)


def is_logarithmic(values: Numbers) -> NDArray[np.bool_]:
    """Return which of them have a logarithm, too."""
    return np.asarray(is_metric(values) & (values > 0))


def _kind_faults(node: Node, space: SearchSpace) -> Iterator[Fault]:
    """Find texts where a number is needed: everywhere but in a comparison with a choice."""
    compared = compared_choice(node) if isinstance(node, Call) else None
    if compared is not None:
        yield from _comparison_faults(*compared, space)
        return
    yield from _text_faults(node, space)
    for child in children(node):
        yield from _kind_faults(child, space)


def _text_faults(node: Node, space: SearchSpace) -> Iterator[Fault]:
    if isinstance(node, Literal) and isinstance(node.value, str):
        yield Fault(
            node.at, f"the text {written(node.value)} is no number; compare a parameter with it by =="
        )
    if isinstance(node, Read) and (parameter := space.by_name.get(node.name)) and not _is_numeric(parameter):
        example = written(values_of(parameter)[0])
        yield Fault(
            node.at,
            f"'{node.name}' is no number; compare it ({node.name} == {example}) or give each choice one: "
            f"{{{example}: 1, ...}}[{node.name}]",
        )


def _is_numeric(parameter: Parameter) -> bool:
    return not isinstance(parameter, CategoricalParameter) or all(map(is_number, parameter.choices))


def _comparison_faults(read: Read, value: Literal, space: SearchSpace) -> Iterator[Fault]:
    parameter = space.by_name.get(read.name)
    if parameter is not None and not parameter.contains(value.value):
        yield Fault(value.at, _never(parameter, value.value))


def _table_faults(table: Table, parameter: Parameter) -> Iterator[Fault]:
    if isinstance(parameter, FloatParameter) and not parameter.is_constant:
        yield Fault(table.at, f"'{parameter.name}' has too many values for a table; compute with it")
        return
    keys = [identity(key.value) for key, _ in table.entries]
    for place, (key, _) in enumerate(table.entries):
        if not parameter.contains(key.value):
            yield Fault(key.at, _never(parameter, key.value))
        elif keys[place] in keys[:place]:
            yield Fault(key.at, f"the table has {written(key.value)} twice")
    if isinstance(parameter, IntParameter) and len(values_of(parameter)) > len(keys):
        yield Fault(table.at, f"the table needs every value of '{parameter.name}'")
        return
    lacking = [value for value in values_of(parameter) if identity(value) not in keys]
    if lacking and not isinstance(parameter, IntParameter):
        shown = ", ".join(map(written, lacking[:5])) + (", ..." if len(lacking) > 5 else "")
        yield Fault(table.at, f"the table lacks choices of '{parameter.name}': {shown}")


def _never(parameter: Parameter, value: ParameterValue) -> str:
    return f"{written(value)} is not a value of the parameter '{parameter.name}'"


def _corners(node: Node, space: SearchSpace) -> Sequence[Parameterization]:
    """List what the parameters may be at once that the expression reads, at their ends and at 0."""
    parameters = _read_by(node, space)
    if not parameters:
        return [{}]
    part = SearchSpace(parameters=parameters)
    ends = {parameter.name: _ends(parameter) for parameter in parameters}
    most = min(CORNERS, CORNER_VALUES // len(ends))
    if prod(map(len, ends.values())) <= most:
        drawn = [dict(zip(ends, corner, strict=True)) for corner in product(*ends.values())]
    else:
        rng = random.Random(0)  # noqa: S311  no secret
        drawn = [{name: rng.choice(values) for name, values in ends.items()} for _ in range(most)]
    return [part.canonical(values) for values in drawn]


def _ends(parameter: Parameter) -> Sequence[ParameterValue]:
    ends = tuple(extremes_of(parameter))
    return (*ends, 0) if parameter.contains(0) and 0 not in ends else ends


def _read_by(node: Node, space: SearchSpace) -> tuple[Parameter, ...]:
    """Return the parameters that a value depends on, those that activate others included."""
    names = {part.name for part in walk(node) if isinstance(part, Read | Active | Default | Table)}
    for parameter in reversed(space.parameters):
        if parameter.name in names and parameter.when is not None:
            names.add(parameter.when.parameter)
    return tuple(parameter for parameter in space.parameters if parameter.name in names)
