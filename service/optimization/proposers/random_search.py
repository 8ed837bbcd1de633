"""Random search: every parameter on its own, evenly (Bergstra and Bengio 2012, JMLR 13)."""

import math
from collections.abc import Sequence

from api_schemas.proposals import Proposer
from api_schemas.search_space import Parameterization
from service.optimization.candidate_filter import CandidateFilter
from service.optimization.problem import Observation, Problem, Suggestion
from service.optimization.proposers.even_draws import even_draws
from service.optimization.proposers.in_turn import first_new, generator, suggest_in_turn


def suggest(
    problem: Problem,
    observations: Sequence[Observation],
    *,
    pending: Sequence[Parameterization],
    count: int,
    seed: int,
    time_limit_seconds: float = math.inf,
) -> list[Suggestion]:
    """Return up to `count` suggestions; observations only exclude what has been tried."""

    def pick(allowed: CandidateFilter, waiting: Sequence[Parameterization]) -> Parameterization | None:
        rng = generator("random", seed, len(observations) + len(waiting))
        return first_new(allowed, lambda size: even_draws(problem.search_space, size, rng=rng))

    return suggest_in_turn(
        pick,
        problem,
        observations,
        pending=pending,
        count=count,
        seed=seed,
        time_limit_seconds=time_limit_seconds,
        generated_by=Proposer.RANDOM.value,
    )
