"""Tree-structured Parzen estimators (Watanabe 2023, arXiv 2304.11127), by Optuna's `TPESampler`.

Multivariate for several objectives too, where Optuna's default is one parameter at a time: that did
no better than random draws on the AutoPEFT space. Conditional parameters make groups.
"""

import math
from collections.abc import Sequence

from optuna.samplers import TPESampler

from api_schemas.proposals import Proposer
from api_schemas.search_space import Parameterization
from service.optimization.problem import Observation, Problem, Suggestion
from service.optimization.proposers.optuna_study import propose_by_asking


def suggest(
    problem: Problem,
    observations: Sequence[Observation],
    *,
    pending: Sequence[Parameterization],
    count: int,
    seed: int,
    time_limit_seconds: float = math.inf,
) -> list[Suggestion]:
    """Suggest what is likelier among good trials than among the others; pending trials count as bad."""
    return propose_by_asking(
        lambda seed: TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True),
        problem,
        observations,
        pending=pending,
        count=count,
        seed=seed,
        time_limit_seconds=time_limit_seconds,
        generated_by=Proposer.TPE,
    )
