"""The proposers that a study can name, each a `suggest` function with the same guarantees.

Nothing that is evaluated, pending or equivalent is suggested; limits on exact metrics hold; starting points
come first; all are pure. Knows names; a proposer is imported when it is first used.
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


class Suggest(Protocol):
    """The signature of every proposer: see `service.optimization.suggest.suggest`."""

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
        """Return up to `count` suggestions; fewer only if the space holds nothing new."""


def proposer_of(name: Proposer) -> Suggest:
    """Return the function of a proposer."""
    return cast("Suggest", import_module(MODULES[name]).suggest)
