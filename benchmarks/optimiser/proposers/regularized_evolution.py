"""Regularised evolution (Real and others 2019, arXiv 1802.01548) by Pareto rank.

The oldest trial leaves the population, not the worst. A child changes one parameter of the best of a
random tournament; best is, as in NSGA-II (Deb and others 2002), the least violation of constraints,
then the lowest rank of non-dominated sorting, then the loneliest place in its front.
"""

import math
import random
from collections.abc import Sequence

import numpy as np
import torch
from botorch.utils.multi_objective.pareto import is_non_dominated
from jaxtyping import Float64
from torch import Tensor

from api_schemas.search_space import Parameterization
from service.optimization.candidate_filter import CandidateFilter
from service.optimization.candidates import neighbour_codes
from service.optimization.grid import Grid
from service.optimization.outcomes import limits_of, observed_values, outcomes_of
from service.optimization.problem import Observation, Problem, Suggestion
from service.optimization.proposers.even_draws import even_draws
from service.optimization.proposers.in_turn import first_new, generator, suggest_in_turn

POPULATION = 20
"""The paper's 100 are for 20,000 trials."""

TOURNAMENT = 5
"""A quarter of the population, as in the paper."""

CHILDREN = 256
"""Children that may all be old or beyond the limits before chance decides."""


def suggest(
    problem: Problem,
    observations: Sequence[Observation],
    *,
    pending: Sequence[Parameterization],
    count: int,
    seed: int,
    time_limit_seconds: float = math.inf,
) -> list[Suggestion]:
    """Suggest even draws for the first population, then children."""
    living = [observation for observation in observations[-POPULATION:] if observation.metrics]
    standings = _standings(problem, living)

    def pick(allowed: CandidateFilter, waiting: Sequence[Parameterization]) -> Parameterization | None:
        position = len(observations) + len(waiting)
        rng = generator("regularized_evolution", seed, position)
        if position < POPULATION or not living:
            return first_new(allowed, lambda size: even_draws(problem.search_space, size, rng=rng))

        def children(size: int) -> list[Parameterization]:
            return [_child(problem.grid, living, standings, rng=rng) for _ in range(size)]

        return first_new(allowed, children, effort=CHILDREN)

    return suggest_in_turn(
        pick,
        problem,
        observations,
        pending=pending,
        count=count,
        seed=seed,
        time_limit_seconds=time_limit_seconds,
        generated_by="regularized_evolution",
    )


def pareto_ranks(Y: Float64[Tensor, "n objectives"]) -> list[int]:
    """Sort maximised rows into fronts: 0 if nothing dominates it, 1 if only rows of front 0 do, ..."""
    ranks = [0] * len(Y)
    left = torch.arange(len(Y))
    front = 0
    while len(left):
        best = is_non_dominated(Y[left], deduplicate=False)
        for row in left[best].tolist():
            ranks[row] = front
        left = left[~best]
        front += 1
    return ranks


def crowding_distances(Y: Float64[Tensor, "n objectives"]) -> Float64[Tensor, " n"]:
    """Sum each row's gap between its neighbours over the objectives, as shares of the range; ends: inf."""
    found = torch.zeros(len(Y), dtype=torch.double)
    for column in Y.T:
        order = torch.argsort(column, stable=True)
        ordered = column[order]
        gaps = torch.full_like(ordered, torch.inf)
        gaps[1:-1] = (ordered[2:] - ordered[:-2]) / (ordered[-1] - ordered[0]).clamp(min=1e-12)
        found[order] += gaps
    return found


def _standings(problem: Problem, living: Sequence[Observation]) -> list[tuple[float, int, float]]:
    outcomes = outcomes_of(problem)
    Y = observed_values(outcomes, [observation.metrics for observation in living if observation.metrics])
    violation = torch.zeros(len(living), dtype=torch.double)
    for limit in limits_of(problem, outcomes):
        violation += limit.excess(Y).clamp(min=0.0)
    objectives = Y[:, : len(problem.objectives)]
    ranks = torch.tensor(pareto_ranks(objectives))
    loneliness = torch.zeros(len(living), dtype=torch.double)
    for rank in set(ranks.tolist()):
        loneliness[ranks == rank] = crowding_distances(objectives[ranks == rank])
    return list(zip(violation.tolist(), ranks.tolist(), (-loneliness).tolist(), strict=True))


def _child(
    grid: Grid,
    living: Sequence[Observation],
    standings: Sequence[tuple[float, int, float]],
    *,
    rng: random.Random,
) -> Parameterization:
    tournament = rng.sample(range(len(living)), min(TOURNAMENT, len(living)))
    parent = grid.codes([living[min(tournament, key=standings.__getitem__)].parameterization])
    around = neighbour_codes(grid, parent, rng=np.random.default_rng(rng.getrandbits(64)))
    differs = grid.differs(around, np.repeat(parent, len(around), axis=0))
    # The first difference is the change itself: what it wakes up or puts to sleep stands behind it.
    changed = np.where(differs.any(axis=1), differs.argmax(axis=1), len(grid))
    places = np.unique(changed[changed < len(grid)]).tolist()
    if not places:
        return grid.parameterizations(parent)[0]
    place = rng.choice(places)
    row = rng.choice(np.flatnonzero(changed == place).tolist())
    return grid.parameterizations(around[row : row + 1])[0]
