"""A scrambled Sobol sequence (Owen 1998): even in every parameter and in every pair of them."""

import math
from collections.abc import Sequence

from scipy.stats import qmc

from api_schemas.proposals import Proposer
from api_schemas.search_space import Parameterization
from service.optimization.candidate_filter import CandidateFilter
from service.optimization.problem import Observation, Problem, Suggestion
from service.optimization.proposers.even_draws import parameterization_at
from service.optimization.proposers.in_turn import suggest_in_turn

ROWS = 8192
"""Rows after which the sequence counts as exhausted; a power of two keeps it balanced."""


def suggest(
    problem: Problem,
    observations: Sequence[Observation],
    *,
    pending: Sequence[Parameterization],
    count: int,
    seed: int,
    time_limit_seconds: float = math.inf,
) -> list[Suggestion]:
    """Return the next rows of the sequence that may be suggested."""

    def pick(allowed: CandidateFilter, waiting: Sequence[Parameterization]) -> Parameterization | None:
        engine = qmc.Sobol(len(problem.search_space.parameters), rng=seed)
        # Rows that have run are taken, so the first new row continues the study.
        rows = 1 << (len(observations) + len(waiting)).bit_length()
        while engine.num_generated < ROWS:
            points = engine.random(rows).tolist()
            new = allowed.keep(parameterization_at(problem.search_space, point) for point in points)
            if new:
                return new[0]
            rows = engine.num_generated
        return None

    return suggest_in_turn(
        pick,
        problem,
        observations,
        pending=pending,
        count=count,
        seed=seed,
        time_limit_seconds=time_limit_seconds,
        generated_by=Proposer.SOBOL.value,
    )
