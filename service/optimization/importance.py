"""How much each parameter matters to each objective, by variance over the whole search space.

The total-effect Sobol index of a parameter (Homma and Saltelli 1996), by Jansen's estimator (1999,
equation 5 of Saltelli and others 2010): half the mean squared change when it alone is drawn anew, as a
share of the variance. A measured objective is the mean of its model; a known one is exact. Parameters are
drawn independently and uniformly on their scale; an inactive one has no effect.
"""

import math
import re
import time
from collections.abc import Callable, Sequence, Set

import numpy as np
import torch
from jaxtyping import Float64
from scipy.stats import qmc
from torch import Tensor

from api_schemas.importance import Importance, ObjectiveImportance, ParameterImportance
from api_schemas.search_space import SearchSpace
from service.optimization.candidate_filter import augmented, with_share
from service.optimization.gaussian_process import Process
from service.optimization.grid import Candidates, Codes, Grid
from service.optimization.initial_design import design_size
from service.optimization.modelled_part import modelled_part
from service.optimization.numerics import FIT_FAILURES
from service.optimization.outcomes import Outcome, observed_values, observed_variances, outcomes_of
from service.optimization.problem import ExactMetric, Observation, Problem
from service.optimization.surrogate import fit_surrogate
from service.optimization.transfer import TransferProcess

Function = Callable[[Float64[Tensor, "n d"]], Float64[Tensor, " n"]]
"""A value for each encoded configuration."""

MODELLED_ROWS = 4096
EXACT_ROWS = 2048
"""Evaluations for one objective. A known metric is slower to compute than a model's mean."""

ROUNDING = 1e-8
"""Values of a function that differ by less, as a share of their size, are all equal."""

FEWEST_DRAWS, MOST_DRAWS = 16, 1024

MOST_NUMBERS = 40_000_000
"""Rows times columns of all evaluations: fewer rows are drawn of more than 9,000 columns."""

LARGEST = 100_000_000
"""Of spaces in which even the fewest draws are more numbers than this, nothing is estimated."""

BLOCK = 4_000_000
"""Numbers of encoded configurations at a time (32 MB): bounds memory, whatever the space."""

NUMBERED = re.compile(r"(.+)\.\d+")


def weigh_parameters(
    problem: Problem,
    observations: Sequence[Observation],
    *,
    known: Sequence[ObjectiveImportance],
    seed: int,
    time_limit_seconds: float = math.inf,
) -> Importance:
    """Weigh the parameters for each objective, once there are twice the observations of the design.

    `known` are earlier results for known objectives, which never change and are not computed again.
    The models are as they are after `time_limit_seconds`.
    """
    deadline = time.monotonic() + time_limit_seconds
    measured = [observation for observation in observations if observation.metrics is not None]
    needed = 2 * design_size(problem)
    if len(measured) < needed:
        reason = f"{len(measured)} results so far; the importance of parameters is estimated from {needed} on"
        return Importance(observations=len(measured), reason=reason)
    grid = Grid(problem.search_space)
    if FEWEST_DRAWS * (len(grid) + 2) * grid.dimensions > LARGEST:
        reason = f"the search space is too large: {len(grid)} parameters in {grid.dimensions} columns"
        return Importance(observations=len(measured), reason=reason)
    count, outcomes = len(measured), outcomes_of(problem)
    measured = [*modelled_part(problem, measured, seed=seed)]
    earlier = {item.metric: item for item in known}
    X = augmented(problem, [observation.parameterization for observation in measured])
    Y = observed_values(outcomes, [observation.metrics for observation in measured if observation.metrics])
    try:
        surrogate = fit_surrogate(
            X,
            Y,
            outcomes=outcomes,
            variances=observed_variances(outcomes, measured),
            seed=seed,
            deadline=deadline,
        )
    except FIT_FAILURES:
        return Importance(observations=count, reason="no model could be fitted to the results")
    space = problem.search_space
    found = []
    for process, outcome in zip(surrogate.processes, outcomes[: len(problem.objectives)], strict=False):
        if outcome.exact and outcome.metric in earlier:
            found.append(earlier[outcome.metric])
            continue
        function, rows = (
            (_exactly(problem.exact_metrics[outcome.metric], outcome, space), EXACT_ROWS)
            if process is None
            else (_mean_of(process, space), MODELLED_ROWS)
        )
        found.append(importance_for(outcome.metric, space, function, rows=rows, seed=seed))
    return Importance(observations=count, objectives=tuple(found))


def importance_for(
    metric: str, space: SearchSpace, function: Function, *, rows: int, seed: int
) -> ObjectiveImportance:
    """Weigh the parameters and groups of a space for one function, with about `rows` evaluations."""
    singles = [frozenset({parameter.name}) for parameter in space.parameters]
    groups = numbered_groups(space)
    effects = total_effects(space, function, sets=[*singles, *groups.values()], rows=rows, seed=seed)
    items = [
        ParameterImportance(name=name, total_effect=effect)
        for name, effect in zip([*(p.name for p in space.parameters), *groups], effects, strict=True)
    ]
    ordered = [
        tuple(sorted(part, key=lambda item: -item.total_effect))
        for part in (items[: len(singles)], items[len(singles) :])
    ]
    return ObjectiveImportance(metric=metric, parameters=ordered[0], groups=ordered[1])


def numbered_groups(space: SearchSpace) -> dict[str, frozenset[str]]:
    """Collect parameters that differ in a last number only, as switches of layers do."""
    found: dict[str, set[str]] = {}
    for parameter in space.parameters:
        numbered = NUMBERED.fullmatch(parameter.name)
        if numbered:
            found.setdefault(f"{numbered[1]}.*", set()).add(parameter.name)
    return {name: frozenset(members) for name, members in found.items() if len(members) > 1}


def total_effects(
    space: SearchSpace, function: Function, *, sets: Sequence[Set[str]], rows: int, seed: int
) -> list[float]:
    """Estimate the total-effect index of each set of parameters; 0 where the function is constant."""
    grid = Grid(space)
    rows = min(rows, MOST_NUMBERS // max(grid.dimensions, 1))
    draws = min(max(rows // (len(sets) + 2), FEWEST_DRAWS), MOST_DRAWS)
    A, B = _two_draws(grid, 2 ** (draws.bit_length() - 1), seed=seed)
    every: list[Set[str]] = [set(), set(grid.names), *sets]
    together = max(1, BLOCK // (len(A) * max(grid.dimensions, len(grid))))
    blocks = [every[start : start + together] for start in range(0, len(every), together)]
    values = torch.cat([function(_rows(grid, A, B, redrawn=block)) for block in blocks])
    first, second, *changed = values.reshape(len(every), -1)
    drawn = torch.cat([first, second])
    variance = drawn.var(correction=0)
    if float(variance) <= (ROUNDING * float(drawn.abs().max())) ** 2:
        return [0.0 for _ in sets]
    return [float((first - other).square().mean() / (2 * variance)) for other in changed]


def _two_draws(grid: Grid, count: int, *, seed: int) -> tuple[Codes, Codes]:
    """Draw twice, whatever is active."""
    positions = qmc.Sobol(2 * len(grid), rng=seed).random(count)
    halves = positions[:, : len(grid)], positions[:, len(grid) :]
    return _codes(grid, halves[0]), _codes(grid, halves[1])


def _codes(grid: Grid, positions: Codes) -> Codes:
    codes = positions.copy()
    for place, axis in enumerate(grid.axes):
        if axis.levels is not None:
            codes[:, place] = np.floor(positions[:, place] * len(axis.levels))
    return codes


def _rows(grid: Grid, A: Codes, B: Codes, *, redrawn: Sequence[Set[str]]) -> Float64[Tensor, "N d"]:
    """Take, for each set, its parameters from B and the others from A; clear what then is inactive."""
    codes = np.tile(A, (len(redrawn), 1))
    for number, names in enumerate(redrawn):
        rows = slice(number * len(A), (number + 1) * len(A))
        places = [grid.names[name] for name in names]
        codes[rows, places] = B[:, places]
    return torch.from_numpy(grid.encode(grid.canonical(codes, fill=codes)))


def _mean_of(process: Process | TransferProcess, space: SearchSpace) -> Function:
    grid = Grid(space)

    @torch.no_grad()
    def mean(X: Float64[Tensor, "n d"]) -> Float64[Tensor, " n"]:
        return process.posterior(torch.from_numpy(with_share(grid, X.numpy())))[0]

    return mean


def _exactly(metric: ExactMetric, outcome: Outcome, space: SearchSpace) -> Function:
    grid = Grid(space)
    return lambda X: torch.from_numpy(outcome.values(metric(Candidates(grid, grid.decode(X.numpy())))))
