"""The first trials, before there is anything to model.

With an exact objective they are spread over its range, on the optimiser's scale, and over the share of
switches that are on; otherwise they follow a scrambled Sobol sequence. Every prefix of the design is
spread, so suggesting one trial at a time gives as good a design as suggesting all at once.
"""

import numpy as np
from scipy.stats import qmc

from api_schemas.search_space import Parameterization
from service.optimization.candidate_filter import CandidateFilter
from service.optimization.candidates import density_codes
from service.optimization.encoded_problem import EncodedProblem
from service.optimization.grid import Codes, Grid

DRAWS = 1024
CLOSEST = 8
"""The next trial is drawn from this many candidates nearest to the target cost."""


def design_size(grid: Grid) -> int:
    """Return how many trials come before the first model: one for each column of the unit cube, 5 to 10."""
    return min(10, max(5, grid.dimensions))


def next_in_design(
    encoded: EncodedProblem, allowed: CandidateFilter, *, position: int
) -> Parameterization | None:
    """Return the trial at a position of the design, or None if random draws find nothing new.

    Starting points that have run take positions, but leave the ends of the range to the design.
    """
    problem, grid, seed = encoded.problem, encoded.problem.grid, encoded.seed
    position -= len(
        {key for point in problem.starting_points if (key := problem.key(point)) in allowed.taken}
    )
    rng = np.random.default_rng([seed, position, 1])
    costly = {objective.metric for objective in problem.objectives} & set(problem.exact_metrics)
    if not costly and 1 <= grid.dimensions <= qmc.Sobol.MAXDIM:
        sobol = allowed.keep(grid.parameterizations(_sobol_row(grid, position=position, seed=seed)))
        if sobol:
            return sobol[0]
    drawn = density_codes(grid, DRAWS, rng=rng)
    drawn = drawn[allowed.within_limits(drawn)]
    if costly and len(drawn):
        drawn = _nearest_to_target(encoded, drawn, share=spread(position), rng=rng)
    for row in drawn:
        new = allowed.keep(grid.parameterizations(row[None]))
        if new:
            return new[0]
    return None


def spread(position: int) -> float:
    """Return both ends of [0, 1] first, then the van der Corput sequence: any prefix is spread."""
    if position < 2:
        return float(position)
    index, share, digit = position - 1, 0.0, 0.5
    while index:
        share += digit * (index & 1)
        index >>= 1
        digit /= 2
    return share


def _nearest_to_target(
    encoded: EncodedProblem, drawn: Codes, *, share: float, rng: np.random.Generator
) -> Codes:
    """Order draws by their distance from the target cost, the closest few at random."""
    cost = -encoded.exact_at(drawn)[:, 0].numpy()
    target = cost.min() + share * (cost.max() - cost.min())
    order = np.argsort(np.abs(cost - target), kind="stable")
    order[:CLOSEST] = rng.permutation(order[:CLOSEST])
    return np.asarray(drawn[order])


def _sobol_row(grid: Grid, *, position: int, seed: int) -> Codes:
    engine = qmc.Sobol(grid.dimensions, rng=seed)
    # One row at a time: a sequence cut at a length that is no power of two is unbalanced, not wrong.
    for _ in range(position):
        engine.random(1)
    return grid.decode(engine.random(1))
