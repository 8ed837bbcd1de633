"""Find new candidates without a model of the outcomes: at random, and if that fails, step by step.

Limits on exact metrics may leave a handful of configurations in a space of billions. Random draws miss
them; steps from what has been tried, or from the draws that break the limits least, reach them.
"""

import numpy as np
from jaxtyping import Float64

from api_schemas.search_space import Parameterization
from service.optimization.candidate_filter import CandidateFilter
from service.optimization.candidates import density_codes, enumerate_codes, neighbour_codes, swap_codes
from service.optimization.grid import Codes
from service.optimization.search import SMALL_SPACE, SWAPS

SEARCH_EFFORT = 20_000
"""Random draws after which steps are tried."""

STEPS = 40
STEPPED_FROM = 64
"""How many of a step's candidates start the next one: those that break the limits least, or not at all."""

AROUND = 4096

ADMITTED_AT_A_TIME = 100
"""At most: usually the first one is new."""


def draw_new(
    allowed: CandidateFilter, *, known: list[Parameterization], rng: np.random.Generator
) -> Parameterization | None:
    """Return a random configuration that is new and within the limits; None if none is found.

    `known` are the configurations to step from if random draws find nothing.
    """
    grid = allowed.problem.grid
    listed = enumerate_codes(grid, limit=SMALL_SPACE)
    if listed is not None:
        return _first_new(allowed, rng.permutation(listed))
    drawn = np.empty((0, len(grid)))
    for _ in range(0, SEARCH_EFFORT, 1000):
        drawn = density_codes(grid, 1000, rng=rng)
        new = _first_new(allowed, drawn)
        if new is not None:
            return new
    return _stepped(allowed, np.concatenate([grid.codes(known), drawn]), rng=rng)


def _stepped(allowed: CandidateFilter, codes: Codes, *, rng: np.random.Generator) -> Parameterization | None:
    grid, visited = allowed.problem.grid, set[bytes]()
    for _ in range(STEPS):
        start = _least_violating(allowed, codes, rng=rng)
        visited.update(row.tobytes() for row in start)
        around = np.concatenate(
            [
                neighbour_codes(grid, start, rng=rng, limit=AROUND),
                swap_codes(grid, start, count=SWAPS, rng=rng),
            ]
        )
        codes = np.array([row for row in np.unique(around, axis=0) if row.tobytes() not in visited])
        if not len(codes):
            return None
        new = _first_new(allowed, rng.permutation(codes))
        if new is not None:
            return new
    return None


def _first_new(allowed: CandidateFilter, codes: Codes) -> Parameterization | None:
    # Checking the limits of all at once is much faster than computing the key of each.
    legal = codes[allowed.within_limits(codes)]
    start, size = 0, 1
    while start < len(legal):
        new = allowed.keep(allowed.problem.grid.parameterizations(legal[start : start + size]))
        if new:
            return new[0]
        start, size = start + size, min(4 * size, ADMITTED_AT_A_TIME)
    return None


def _least_violating(allowed: CandidateFilter, codes: Codes, *, rng: np.random.Generator) -> Codes:
    shuffled = rng.permutation(codes)
    violation = allowed.violation(shuffled)
    order = np.argsort(violation, kind="stable")
    # Candidates within the limits may all be spellings of one taken trial, a dead end.
    beyond = order[violation[order] > 0][: STEPPED_FROM // 2]
    within = order[: STEPPED_FROM - len(beyond)]
    return np.asarray(shuffled[np.union1d(within, beyond)])


def likeliest_new(
    allowed: CandidateFilter, codes: Codes, log_chance: Float64[np.ndarray, " n"]
) -> Parameterization | None:
    """Return the new candidate within the limits that is most probably feasible."""
    return _first_new(allowed, codes[np.argsort(-log_chance, kind="stable")])
