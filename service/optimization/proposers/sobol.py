"""A scrambled Sobol sequence (Owen 1998): even in every parameter and in every pair of them."""

from scipy.stats import qmc

from api_schemas.proposals import Proposer
from api_schemas.search_space import Parameterization
from service.optimization.candidate_filter import CandidateFilter
from service.optimization.proposers.even_draws import parameterization_at
from service.optimization.proposers.in_turn import proposing

ROWS = 8192
"""Rows after which the sequence counts as exhausted; a power of two keeps it balanced."""


def _pick(allowed: CandidateFilter, position: int, seed: int) -> Parameterization | None:
    space = allowed.problem.search_space
    engine = qmc.Sobol(len(space.parameters), rng=seed)
    # Rows that have run are taken, so the first new row continues the study.
    rows = 1 << position.bit_length()
    while engine.num_generated < ROWS:
        points = engine.random(rows).tolist()
        new = allowed.keep(parameterization_at(space, point) for point in points)
        if new:
            return new[0]
        rows = engine.num_generated
    return None


suggest = proposing(_pick, Proposer.SOBOL)
"""Return the next rows of the sequence that may be suggested."""
