"""Where candidates come from: density sampling, neighbours, swaps, mutations, enumeration.

Every function returns canonical codes (see `grid`) and draws from the generator passed to it.
"""

import math
import random
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from api_schemas.search_space import (
    FloatParameter,
    IntParameter,
    OrdinalParameter,
    Parameterization,
    SearchSpace,
)
from service.optimization.grid import Axis, Codes, Grid
from service.optimization.number_scale import is_stepped, numbers_at, positions_of

STEP_DEVIATION = 0.1
"""Standard deviation of a small step of a number, as a share of its range."""

NUMBER_STEPS = 4
"""Small steps tried for each number when listing neighbours."""

SIZES_AS_SWITCHES = 8
"""From this many ordinals that may be 0 on, they are layer-by-layer sizes, and 0 switches a layer off."""


def density_codes(grid: Grid, count: int, *, rng: np.random.Generator) -> Codes:
    """Draw candidates whose share of switches that are on is uniform.

    Independent fair switches would be about half on in every draw and never sparse or dense.
    """
    codes = uniform_codes(grid, count, rng=rng)
    density = rng.random((count, 1))
    on = rng.random((count, len(grid))) < density
    for place in switches(grid):
        zero = 0.0
        drawn = np.maximum(codes[:, place], 1.0)
        codes[:, place] = np.where(on[:, place], drawn, zero)
    return grid.canonical(codes, fill=codes)


def uniform_codes(grid: Grid, count: int, *, rng: np.random.Generator) -> Codes:
    """Draw every parameter on its own; inactive ones get a value too, so the codes are not canonical yet."""
    codes = rng.random((count, len(grid)))
    for place, axis in enumerate(grid.axes):
        if axis.levels is not None:
            codes[:, place] = np.minimum(np.floor(codes[:, place] * len(axis.levels)), len(axis.levels) - 1)
    return codes


def switches(grid: Grid) -> list[int]:
    """List the axes that switch a part on and off: booleans, and sizes layer by layer."""
    sizes = [
        place
        for place, axis in enumerate(grid.axes)
        if isinstance(axis.parameter, OrdinalParameter) and axis.parameter.choices[0] == 0 and axis.width
    ]
    booleans = [
        place for place, axis in enumerate(grid.axes) if axis.levels == (False, True) and axis.ordered
    ]
    return booleans + (sizes if len(sizes) >= SIZES_AS_SWITCHES else [])


def neighbour_codes(grid: Grid, codes: Codes, *, rng: np.random.Generator, limit: int | None = None) -> Codes:
    """Change one parameter at a time: every other choice, a few small steps of a number.

    Of more neighbours than `limit`, that many are drawn, in proportion from each parameter.
    """
    changes = [(codes[:, place] >= 0, place) for place in range(len(grid.axes))]
    changed = [_changes(grid.axes[place], codes[on, place], rng=rng) for on, place in changes]
    total = sum(part.size for part in changed)
    parts = []
    for (on, place), values in zip(changes, changed, strict=True):
        # Drawn before they are written out: all of them may not fit into memory.
        chosen = np.arange(values.size)
        if limit is not None and total > limit:
            chosen = rng.permutation(values.size)[: math.ceil(limit * values.size / total)]
        table = codes[on][chosen // max(values.shape[1], 1)]
        before = table[:, place].copy()
        table[:, place] = values.reshape(-1)[chosen]
        parts.append(table[table[:, place] != before])
    table = np.concatenate(parts)
    if limit is not None and len(table) > limit:
        table = table[rng.permutation(len(table))[:limit]]
    return grid.canonical(table, fill=activated_codes(grid, table, rng=rng))


def swap_codes(grid: Grid, codes: Codes, *, count: int, rng: np.random.Generator) -> Codes:
    """Trade one switch that is on for one that is off, `count` times from each candidate."""
    places = np.array(switches(grid), dtype=int)
    table = np.repeat(codes, count, axis=0)
    if len(places) < 2:
        return table[:0]
    values = table[:, places]
    noise = rng.random(values.shape)
    rows = np.arange(len(table))
    on, off = (values > 0), (values == 0)
    first = np.where(on, noise, -1.0).argmax(axis=1)
    second = np.where(off, noise, -1.0).argmax(axis=1)
    possible = on.any(axis=1) & off.any(axis=1)
    values[rows, second], values[rows, first] = values[rows, first], values[rows, second]
    # A size may be too large for the other's list of choices.
    highest = np.array([len(grid.axes[place].levels or ()) - 1 for place in places], dtype=float)
    table[:, places] = np.minimum(values, highest)
    table = table[possible]
    return grid.canonical(table, fill=activated_codes(grid, table, rng=rng))


def mutation_codes(grid: Grid, codes: Codes, *, rng: np.random.Generator) -> Codes:
    """Redraw two to four active parameters of each candidate."""
    drawn = uniform_codes(grid, len(codes), rng=rng)
    varied = (codes >= 0) & np.array([axis.width > 0 for axis in grid.axes])
    noise = np.where(varied, rng.random(codes.shape), 2.0)
    wanted = rng.integers(2, 5, size=len(codes))
    rank = noise.argsort(axis=1).argsort(axis=1)
    chosen = (rank < wanted[:, None]) & varied
    return grid.canonical(np.where(chosen, drawn, codes), fill=drawn)


def enumerate_codes(grid: Grid, *, limit: int) -> Codes | None:
    """List every candidate, or None if there are more than `limit` combinations."""
    choices = [_all_codes(axis, limit=limit) for axis in grid.axes]
    listed = [codes for codes in choices if codes is not None]
    if len(listed) < len(choices) or math.prod(len(codes) for codes in listed) > limit:
        return None
    table = np.stack(np.meshgrid(*listed, indexing="ij"), axis=-1).reshape(-1, len(grid))
    return np.unique(grid.canonical(table, fill=table), axis=0)


def density_sample(space: SearchSpace, count: int, *, rng: random.Random) -> list[Parameterization]:
    """Draw parameterizations whose share of switches that are on is uniform."""
    grid = Grid(space)
    return grid.parameterizations(density_codes(grid, count, rng=np.random.default_rng(rng.getrandbits(64))))


def _changes(
    axis: Axis, codes: Float64[np.ndarray, " n"], *, rng: np.random.Generator
) -> Float64[np.ndarray, "n changes"]:
    if axis.levels is not None:
        others = np.arange(1, len(axis.levels))
        return np.asarray((codes[:, None] + others) % len(axis.levels))
    steps = codes[:, None] + rng.normal(0.0, STEP_DEVIATION, (len(codes), NUMBER_STEPS))
    reflected = 1 - np.abs(1 - np.abs(steps) % 2)
    parameter = axis.parameter
    assert isinstance(parameter, FloatParameter | IntParameter)  # noqa: S101  only these have no levels
    if axis.width == 0:
        return np.empty((len(codes), 0))
    if not is_stepped(parameter):
        return np.asarray(reflected)
    return np.concatenate([reflected, *_unit_steps(parameter, codes)], axis=1)


def _unit_steps(
    parameter: FloatParameter | IntParameter, codes: Float64[np.ndarray, " n"]
) -> Sequence[Float64[np.ndarray, "n 1"]]:
    if not parameter.log:
        span = parameter.high - parameter.low if parameter.steps is None else parameter.steps
        return [np.clip(codes[:, None] + step / span, 0.0, 1.0) for step in (-1, 1)]
    numbers = numbers_at(parameter, codes)[:, None]
    moved = [np.clip(numbers + step, parameter.low, parameter.high) for step in (-1, 1)]
    return [positions_of(parameter, number) for number in moved]


def _all_codes(axis: Axis, *, limit: int) -> Float64[np.ndarray, " levels"] | None:
    if axis.levels is not None:
        return np.arange(len(axis.levels), dtype=float)
    parameter = axis.parameter
    assert isinstance(parameter, FloatParameter | IntParameter)  # noqa: S101  only these have no levels
    if axis.width == 0:
        return np.zeros(1)
    if parameter.steps is not None and parameter.steps < limit:
        return np.asarray(np.arange(parameter.steps + 1) / parameter.steps)
    if (
        isinstance(parameter, IntParameter)
        and parameter.step is None
        and parameter.high - parameter.low < limit
    ):
        return positions_of(parameter, np.arange(parameter.low, parameter.high + 1, dtype=float))
    return None


def activated_codes(grid: Grid, codes: Codes, *, rng: np.random.Generator) -> Codes:
    """Return the values for parameters that a change activates; without conditions there are none."""
    return uniform_codes(grid, len(codes), rng=rng) if grid.conditional else codes
