"""Candidates that may be proposed: new, inside the hard limits, with their known outcomes."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float64
from torch import Tensor

from api_schemas.search_space import Parameterization
from service.optimization.encoding import encode
from service.optimization.outcomes import known_values, outcomes_of
from service.optimization.problem import Problem


@dataclass
class Admission:
    """Lets a parameterization through once, unless it is taken or breaks a known limit."""

    problem: Problem
    taken: set[Hashable] = field(default_factory=set)

    def take(self, parameterization: Parameterization) -> None:
        """Mark a parameterization as evaluated, pending or picked."""
        self.taken.add(self.problem.key(parameterization))

    def admit(self, parameterizations: Iterable[Parameterization]) -> list[Parameterization]:
        """Keep what is neither taken nor repeated nor beyond a hard limit, in the given order."""
        new: dict[Hashable, Parameterization] = {}
        for parameterization in parameterizations:
            key = self.problem.key(parameterization)
            if key not in self.taken:
                new.setdefault(key, parameterization)
        return _within_limits(self.problem, list(new.values()))


def augmented(problem: Problem, parameterizations: Sequence[Parameterization]) -> Float64[Tensor, "n dk"]:
    """Encode parameterizations and append their known outcomes as columns."""
    return torch.cat(
        [
            encode(problem.search_space, parameterizations),
            known_values(problem, outcomes_of(problem), parameterizations),
        ],
        dim=1,
    )


def _within_limits(problem: Problem, parameterizations: list[Parameterization]) -> list[Parameterization]:
    for constraint in problem.constraints:
        if constraint.metric in problem.known_metrics and parameterizations:
            values = problem.known_metrics[constraint.metric](parameterizations)
            parameterizations = [
                parameterization
                for parameterization, value in zip(parameterizations, values, strict=True)
                if constraint.holds(value)
            ]
    return parameterizations
