"""Random search: every parameter on its own, evenly (Bergstra and Bengio 2012, JMLR 13)."""

from api_schemas.proposals import Proposer
from api_schemas.search_space import Parameterization
from service.optimization.candidate_filter import CandidateFilter
from service.optimization.proposers.even_draws import even_draws
from service.optimization.proposers.in_turn import first_new, generator, proposing


def _pick(allowed: CandidateFilter, position: int, seed: int) -> Parameterization | None:
    rng = generator("random", seed, position)
    return first_new(allowed, lambda size: even_draws(allowed.problem.search_space, size, rng=rng))


suggest = proposing(_pick, Proposer.RANDOM)
"""Return up to `count` suggestions; observations only exclude what has been tried."""
