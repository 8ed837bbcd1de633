"""NSGA-II (Deb and others 2002), by Optuna's `NSGAIISampler`."""

import math
from collections.abc import Sequence

from optuna.samplers import NSGAIISampler

from api_schemas.proposals import Proposer
from api_schemas.search_space import Parameterization
from service.optimization.problem import Observation, Problem, Suggestion
from service.optimization.proposers.optuna_study import propose_by_asking

POPULATION = 20
"""Trials in a generation, the first of them random. Optuna's default, 50, would leave a study of 60 trials
next to random."""


def suggest(
    problem: Problem,
    observations: Sequence[Observation],
    *,
    pending: Sequence[Parameterization],
    count: int,
    seed: int,
    time_limit_seconds: float = math.inf,
) -> list[Suggestion]:
    """Suggest children of the last full generation; observations make generations in their order."""
    return propose_by_asking(
        lambda seed: NSGAIISampler(population_size=POPULATION, seed=seed),
        problem,
        observations,
        pending=pending,
        count=count,
        seed=seed,
        time_limit_seconds=time_limit_seconds,
        generated_by=Proposer.NSGA2,
        # The sampler reads its generations from the trials; nobody else ran these to note them.
        attributes=lambda position: {NSGAIISampler._get_generation_key(): position // POPULATION},
    )
