"""Slices of a fitted model: an objective along one parameter, or over two, with all others held.

They are held where the best observed configuration has them: a slice shows the model through one point, not
an average over the search space. An exact objective is computed. Parameters that become active on the way
take the values of the best observed configuration that has them. Knows no database.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from jaxtyping import Float64

from api_schemas.importance import ObjectiveImportance
from api_schemas.search_space import FloatParameter, IntParameter, Parameterization, ParameterValue
from api_schemas.slices import Slice
from service.optimization.encoded_problem import EncodedProblem
from service.optimization.grid import Axis, Candidates, Codes, Grid
from service.optimization.number_scale import is_stepped, rounded
from service.optimization.outcomes import in_unit, keeps_limits
from service.optimization.surrogate import Surrogate

MOST_SLICED = 60
"""Parameters with a slice for each objective: the most important ones."""
MOST_PAIRED = 5
"""Parameters that are also sliced two at a time: ten pairs."""
ALONG, ACROSS = 25, 13
"""Values along the parameter of a slice, and along each of two."""
DIGITS = 9
"""Significant digits that are kept: a count is whole, and no model knows as many."""

Values = Float64[np.ndarray, " n"]


@dataclass(frozen=True)
class Observed:
    """What was observed, the best first: what keeps every limit, then by the first objective."""

    parameterizations: Sequence[Parameterization]
    codes: Codes

    def best_with(self, places: Sequence[int]) -> int | None:
        """Return the row of the best in which these parameters are active; None if none has them."""
        active = (self.codes[:, places] >= 0).all(axis=1)
        return int(np.argmax(active)) if active.any() else None

    def filling(self) -> Float64[np.ndarray, " p"]:
        """Return a code for every parameter: that of the best that has it."""
        active = self.codes >= 0
        first = self.codes[active.argmax(axis=0), np.arange(self.codes.shape[1])]
        return np.where(active.any(axis=0), first, 0.0)


def slices_of(
    encoded: EncodedProblem, surrogate: Surrogate, importance: Sequence[ObjectiveImportance]
) -> Iterator[Slice]:
    """Return the slices of every objective along its most important parameters, and over pairs of the first.

    What no observed configuration has active has none; nor has what the model has no finite value for.
    """
    grid = encoded.problem.grid
    observed = _observed(encoded)
    for column, objective in enumerate(importance):
        places = [grid.names[item.name] for item in objective.parameters]
        free = [
            place for place in places if grid.axes[place].width and observed.best_with([place]) is not None
        ]
        singles = [(place,) for place in free[:MOST_SLICED]]
        for sliced in [*singles, *combinations(free[:MOST_PAIRED], 2)]:
            yield from _slice(encoded, surrogate, column, sliced, observed=observed)


def _observed(encoded: EncodedProblem) -> Observed:
    kept = keeps_limits(encoded.limits, encoded.Y).numpy()
    order = np.lexsort((-encoded.Y[:, 0].numpy(), ~kept))
    found = [encoded.measured[int(row)].parameterization for row in order]
    return Observed(found, encoded.problem.grid.codes(found))


def _slice(
    encoded: EncodedProblem, surrogate: Surrogate, column: int, sliced: tuple[int, ...], *, observed: Observed
) -> Iterator[Slice]:
    grid = encoded.problem.grid
    best = observed.best_with(sliced)
    if best is None:
        return
    most = ALONG if len(sliced) == 1 else ACROSS
    along = [_positions(grid.axes[place], most=most) for place in sliced]
    rows = _rows(grid, observed, best, sliced, along)
    # One parameter may switch the other off: over both there is nothing to draw then.
    if (rows[:, sliced] < 0).any():
        return
    numbers = _predicted(encoded, surrogate, column, rows)
    if not all(np.isfinite(values).all() for values in numbers):
        return
    names = [grid.axes[place].parameter.name for place in sliced]
    values = [
        _spelled(grid, observed.codes[best], place, one) for place, one in zip(sliced, along, strict=True)
    ]
    means, lower, upper = map(_written, numbers)
    yield Slice(
        metric=encoded.outcomes[column].metric,
        parameter=names[0],
        second=names[1] if len(names) > 1 else None,
        values=values[0],
        second_values=values[1] if len(names) > 1 else (),
        means=means,
        lower=lower,
        upper=upper,
        exact=surrogate.processes[column] is None,
        through=observed.parameterizations[best],
    )


def _rows(grid: Grid, observed: Observed, best: int, sliced: Sequence[int], along: Sequence[Values]) -> Codes:
    """Return canonical candidates: the best one, with every combination of the values along."""
    meshes = [mesh.ravel() for mesh in np.meshgrid(*along)]
    rows = np.tile(observed.codes[best], (len(meshes[0]), 1))
    for place, values in zip(sliced, meshes, strict=True):
        rows[:, place] = values
    return grid.canonical(rows, fill=np.tile(observed.filling(), (len(rows), 1)))


@torch.no_grad()
def _predicted(
    encoded: EncodedProblem, surrogate: Surrogate, column: int, rows: Codes
) -> tuple[Values, Values, Values]:
    """Return the mean, and what is a deviation below and above it, in the metric's unit."""
    outcome, process = encoded.outcomes[column], surrogate.processes[column]
    if process is None:
        exact = encoded.problem.exact_metrics[outcome.metric]
        values = np.asarray(exact(Candidates(encoded.problem.grid, rows)), dtype=float)
        return values, values, values
    mean, variance = process.posterior(encoded.features_at(rows))
    deviation = variance.clamp_min(0.0).sqrt()
    ends = [np.array(in_unit(outcome, mean + side * deviation)) for side in (-1.0, 1.0)]
    return np.array(in_unit(outcome, mean)), np.minimum(*ends), np.maximum(*ends)


def _positions(axis: Axis, *, most: int) -> Values:
    """Return codes along an axis: evenly spread positions of a number, or levels, if need be some of them."""
    if axis.levels is not None:
        last = len(axis.levels) - 1
        return np.unique(np.rint(np.linspace(0.0, last, min(most, last + 1))))
    positions = np.linspace(0.0, 1.0, most)
    parameter = axis.parameter
    if isinstance(parameter, FloatParameter | IntParameter) and is_stepped(parameter):
        return np.unique(rounded(parameter, positions))
    return positions


def _spelled(
    grid: Grid, through: Float64[np.ndarray, " p"], place: int, positions: Values
) -> tuple[ParameterValue, ...]:
    rows = np.tile(through, (len(positions), 1))
    rows[:, place] = positions
    name = grid.axes[place].parameter.name
    values = [values[name] for values in grid.parameterizations(rows)]
    return tuple(_short(value) if isinstance(value, float) else value for value in values)


def _written(values: Values) -> tuple[float, ...]:
    return tuple(map(_short, values))


def _short(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
