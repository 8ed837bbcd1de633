"""The first trials, before there is anything to model.

With a known objective they are spread over its range, on the optimiser's scale, and over the share
of switches that are on; without one they follow a scrambled Sobol sequence. Every prefix of the
design is spread, so asking one at a time gives as good a design as asking for all.
"""

import random
from collections.abc import Sequence

import torch
from scipy.stats import qmc

from api_schemas.search_space import Parameterization
from service.optimization.candidates import density_sample
from service.optimization.encoding import decode, dimensions
from service.optimization.outcomes import known_values, outcomes_of
from service.optimization.pool import Admission
from service.optimization.problem import Problem

DRAWS = 1024
CLOSEST = 8
"""The next trial is drawn from this many candidates nearest to the target cost."""


def design_size(problem: Problem) -> int:
    """Say how many trials come before the first model."""
    return min(10, max(5, len(problem.search_space.parameters)))


def next_in_design(
    problem: Problem, admission: Admission, *, position: int, seed: int
) -> Parameterization | None:
    """Give the trial at a position of the design, or None if random draws find nothing new.

    Starting points that have run take positions, but leave the ends of the range to the design.
    """
    position -= len(
        {key for point in problem.starting_points if (key := problem.key(point)) in admission.taken}
    )
    rng = random.Random(f"design/{seed}/{position}")  # noqa: S311  a design, not a secret
    objective_metrics = {objective.metric for objective in problem.objectives}
    if not objective_metrics & set(problem.known_metrics):
        sobol = admission.admit(_sobol_row(problem, position=position, seed=seed))
        if sobol:
            return sobol[0]
    drawn = admission.admit(density_sample(problem.search_space, DRAWS, rng=rng))
    if not drawn:
        return None
    if not objective_metrics & set(problem.known_metrics):
        return drawn[0]
    return _nearest_to_target(problem, drawn, share=spread(position), rng=rng)


def spread(position: int) -> float:
    """Give both ends of [0, 1] first, then the van der Corput sequence: any prefix is spread."""
    if position < 2:
        return float(position)
    index, share, digit = position - 1, 0.0, 0.5
    while index:
        share += digit * (index & 1)
        index >>= 1
        digit /= 2
    return share


def _nearest_to_target(
    problem: Problem, drawn: Sequence[Parameterization], *, share: float, rng: random.Random
) -> Parameterization:
    outcomes = outcomes_of(problem)
    cost = -known_values(problem, outcomes, drawn)[:, 0]
    target = cost.min() + share * (cost.max() - cost.min())
    nearest = torch.argsort((cost - target).abs(), stable=True)[:CLOSEST]
    return drawn[int(nearest[rng.randrange(len(nearest))])]


def _sobol_row(problem: Problem, *, position: int, seed: int) -> list[Parameterization]:
    engine = qmc.Sobol(dimensions(problem.search_space), rng=seed)
    # One row at a time: a sequence cut at a length that is no power of two is unbalanced, not wrong.
    for _ in range(position):
        engine.random(1)
    return decode(problem.search_space, torch.from_numpy(engine.random(1)))
