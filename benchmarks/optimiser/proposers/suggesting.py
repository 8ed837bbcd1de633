"""Any function with the signature of `service.optimization.suggest.suggest`, as a proposer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from api_schemas.search_space import Parameterization
from benchmarks.optimiser.problems.problem import BenchmarkProblem, engine_problem
from benchmarks.optimiser.proposers.proposer import MakeProposer, Proposer
from service.optimization.problem import Observation, Problem, Suggestion


class Suggest(Protocol):
    """The door of the optimiser: same arguments, same answer."""

    def __call__(
        self,
        problem: Problem,
        observations: Sequence[Observation],
        *,
        pending: Sequence[Parameterization],
        count: int,
        seed: int,
    ) -> Sequence[Suggestion]:
        """Suggest up to `count` trials."""


def proposer_of(function: Suggest) -> MakeProposer:
    """Make proposers that call this function for one trial at a time."""
    return partial(_make, function=function)


def _make(problem: BenchmarkProblem, seed: int, *, function: Suggest) -> Proposer:
    return _Suggesting(engine_problem(problem), seed, function)


@dataclass
class _Suggesting:
    problem: Problem
    seed: int
    function: Suggest
    observations: list[Observation] = field(default_factory=list)

    def ask(self) -> Parameterization:
        suggestions = self.function(self.problem, self.observations, pending=[], count=1, seed=self.seed)
        if not suggestions:
            raise LookupError("the space holds nothing new to suggest")
        return suggestions[0].parameterization

    def tell(self, parameterization: Parameterization, metrics: Mapping[str, float] | None) -> None:
        self.observations.append(Observation(parameterization, metrics))
