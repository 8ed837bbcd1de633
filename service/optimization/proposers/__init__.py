"""The proposers that a study can name, all behind the door of `suggest`.

All keep its promises: nothing that is evaluated, pending or equivalent, hard limits, starting points
first, pure. Knows names; a proposer loads when it is asked for.
"""

from collections.abc import Sequence
from importlib import import_module
from typing import Protocol, cast

from api_schemas.proposals import Proposer
from api_schemas.search_space import Parameterization
from service.optimization.problem import Observation, Problem, Suggestion

MODULES = {
    Proposer.PARETUNE: "service.optimization.suggest",
    Proposer.RANDOM: "service.optimization.proposers.random_search",
    Proposer.SOBOL: "service.optimization.proposers.sobol",
}


class Propose(Protocol):
    """What every proposer is: see `service.optimization.suggest.suggest`."""

    def __call__(
        self,
        problem: Problem,
        observations: Sequence[Observation],
        *,
        pending: Sequence[Parameterization],
        count: int,
        seed: int,
        time_limit_seconds: float = ...,
    ) -> list[Suggestion]:
        """Suggest up to `count` trials; fewer only if the space holds nothing new."""


def proposer_of(name: Proposer) -> Propose:
    """Return the function that proposes."""
    return cast("Propose", import_module(MODULES[name]).suggest)
