"""How much each parameter matters to each objective, by variance over the whole search space.

The total-effect Sobol index of a parameter (Homma and Saltelli 1996), by Jansen's estimator (1999,
equation 5 of Saltelli and others 2010): half the mean squared change when it alone is redrawn, as a
share of the variance. A measured objective is the mean of its model; an exact one is computed. Parameters
are drawn independently and uniformly on their scale; an inactive one has no effect.
"""

import math
import re
import time
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64
from scipy.stats import qmc
from torch import Tensor

from api_schemas.importance import Importance, ObjectiveImportance, ParameterImportance
from api_schemas.search_space import SearchSpace
from api_schemas.slices import Slice
from service.optimization.encoded_problem import EncodedProblem, with_share
from service.optimization.gaussian_process import Process
from service.optimization.grid import Candidates, Codes, Grid
from service.optimization.initial_design import design_size
from service.optimization.numerics import FIT_FAILURES
from service.optimization.outcomes import Outcome
from service.optimization.problem import ExactMetric, Observation, Problem
from service.optimization.slices import slices_of
from service.optimization.surrogate import fit_surrogate
from service.optimization.transfer import TransferProcess

Function = Callable[[Float64[Tensor, "n d"]], Float64[Tensor, " n"]]
"""A value for each encoded configuration."""

MODELLED_ROWS = 4096
EXACT_ROWS = 2048
"""Evaluations for one objective. An exact metric is slower to compute than a model's mean."""

ROUNDING = 1e-8
"""Values of a function that differ by less, as a share of their size, are all equal."""

FEWEST_DRAWS, MOST_DRAWS = 16, 1024

MOST_NUMBERS = 40_000_000
"""Rows times columns of all evaluations: fewer rows are drawn of more than 9,000 columns."""

LARGEST = 100_000_000
"""Nothing is estimated if even the fewest draws are more numbers than this."""

BLOCK = 4_000_000
"""Numbers of encoded configurations at a time (32 MB): bounds memory for any space."""

NUMBERED = re.compile(r"(.+)\.\d+")


@dataclass(frozen=True)
class Weighing:
    """What was learned of the parameters by one fit: their importance, and slices of the models."""

    importance: Importance
    slices: tuple[Slice, ...] = ()


def weigh_parameters(
    problem: Problem,
    observations: Sequence[Observation],
    *,
    earlier: Sequence[ObjectiveImportance],
    seed: int,
    time_limit_seconds: float = math.inf,
) -> Weighing:
    """Return the importance of parameters for each objective, given twice the observations of the design.

    Beside it are slices of the models that it was found with.
    `earlier` are results for exact objectives: they never change and are not computed again.
    A fit that reaches `time_limit_seconds` keeps the hyperparameters it has by then.
    """
    deadline = time.monotonic() + time_limit_seconds
    measured = [observation for observation in observations if observation.metrics is not None]
    grid = problem.grid
    needed = 2 * design_size(grid)
    if len(measured) < needed:
        reason = f"{len(measured)} results so far; the importance of parameters is estimated from {needed} on"
        return Weighing(Importance(observations=len(measured), reason=reason))
    if FEWEST_DRAWS * (len(grid) + 2) * grid.dimensions > LARGEST:
        reason = f"the search space is too large: {len(grid)} parameters in {grid.dimensions} columns"
        return Weighing(Importance(observations=len(measured), reason=reason))
    encoded = EncodedProblem(problem, measured, seed)
    try:
        surrogate = fit_surrogate(
            encoded.X,
            encoded.Y,
            outcomes=encoded.outcomes,
            variances=encoded.variances,
            seed=seed,
            deadline=deadline,
        )
    except FIT_FAILURES:
        return Weighing(
            Importance(observations=len(measured), reason="no model could be fitted to the results")
        )
    weighed = {item.metric: item for item in earlier}
    objectives = []
    for process, outcome in zip(surrogate.processes, encoded.outcomes[: encoded.objectives], strict=False):
        if outcome.exact and outcome.metric in weighed:
            objectives.append(weighed[outcome.metric])
            continue
        function, rows = (
            (_exactly(problem.exact_metrics[outcome.metric], outcome, grid), EXACT_ROWS)
            if process is None
            else (_mean_of(process, grid), MODELLED_ROWS)
        )
        objectives.append(importance_for(outcome.metric, grid, function, rows=rows, seed=seed))
    found = Importance(observations=len(measured), objectives=tuple(objectives))
    return Weighing(found, tuple(slices_of(encoded, surrogate, objectives)))


def importance_for(
    metric: str, grid: Grid, function: Function, *, rows: int, seed: int
) -> ObjectiveImportance:
    """Return the importance of parameters and groups for one function, from about `rows` evaluations."""
    singles = [frozenset({name}) for name in grid.names]
    groups = numbered_groups(grid.space)
    effects = total_effects(grid, function, sets=[*singles, *groups.values()], rows=rows, seed=seed)
    items = [
        ParameterImportance(name=name, total_effect=effect)
        for name, effect in zip([*grid.names, *groups], effects, strict=True)
    ]
    ordered = [
        tuple(sorted(part, key=lambda item: -item.total_effect))
        for part in (items[: len(singles)], items[len(singles) :])
    ]
    return ObjectiveImportance(metric=metric, parameters=ordered[0], groups=ordered[1])


def numbered_groups(space: SearchSpace) -> dict[str, frozenset[str]]:
    """Return groups of parameters that differ only in a last number, as switches of layers do."""
    groups: dict[str, set[str]] = {}
    for parameter in space.parameters:
        numbered = NUMBERED.fullmatch(parameter.name)
        if numbered:
            groups.setdefault(f"{numbered[1]}.*", set()).add(parameter.name)
    return {name: frozenset(members) for name, members in groups.items() if len(members) > 1}


def total_effects(
    grid: Grid, function: Function, *, sets: Sequence[Set[str]], rows: int, seed: int
) -> list[float]:
    """Return estimated total-effect indices of sets of parameters; 0 where the function is constant."""
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
    """Return two independent draws of every parameter, active or not."""
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
    """Return canonical rows that take, for each set, its parameters from B and the others from A."""
    codes = np.tile(A, (len(redrawn), 1))
    for number, names in enumerate(redrawn):
        rows = slice(number * len(A), (number + 1) * len(A))
        places = [grid.names[name] for name in names]
        codes[rows, places] = B[:, places]
    return torch.from_numpy(grid.encode(grid.canonical(codes, fill=codes)))


def _mean_of(process: Process | TransferProcess, grid: Grid) -> Function:
    @torch.no_grad()
    def mean(X: Float64[Tensor, "n d"]) -> Float64[Tensor, " n"]:
        return process.posterior(torch.from_numpy(with_share(grid, X.numpy())))[0]

    return mean


def _exactly(metric: ExactMetric, outcome: Outcome, grid: Grid) -> Function:
    return lambda X: torch.from_numpy(outcome.values(metric(Candidates(grid, grid.decode(X.numpy())))))
