"""Which candidates may be suggested: those that are new and keep every limit on an exact metric."""

from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float64

from api_schemas.objectives import ConstraintOp, OutcomeConstraint
from api_schemas.search_space import Parameterization
from service.optimization.grid import Candidates, Codes
from service.optimization.problem import Observation, Problem


@dataclass
class CandidateFilter:
    """Drops candidates that are taken (evaluated, pending or picked) or that break a limit."""

    problem: Problem
    taken: set[Hashable] = field(default_factory=set)

    def take(self, parameterization: Parameterization) -> None:
        """Mark a parameterization as taken."""
        self.taken.add(self.problem.key(parameterization))

    def keep(self, parameterizations: Iterable[Parameterization]) -> list[Parameterization]:
        """Return those that are not taken and keep the limits, each once, in the given order."""
        new: dict[Hashable, Parameterization] = {}
        for parameterization in parameterizations:
            key = self.problem.key(parameterization)
            if key not in self.taken:
                new.setdefault(key, parameterization)
        listed = list(new.values())
        kept = self.within_limits(self.problem.grid.codes(listed))
        return [parameterization for parameterization, on in zip(listed, kept, strict=True) if on]

    def within_limits(self, codes: Codes) -> Bool[np.ndarray, " n"]:
        """Return which candidates have every exact metric and keep every limit on it."""
        kept = np.ones(len(codes), dtype=bool)
        exact = self._exact(codes)
        for values in exact.values():
            kept &= np.isfinite(values)
        for constraint in self._limits():
            kept &= np.array(
                [constraint.holds(value) for value in exact[constraint.metric].tolist()], dtype=bool
            )
        return kept

    def violation(self, codes: Codes) -> Float64[np.ndarray, " n"]:
        """Return by how much candidates break the limits on exact metrics, as shares of the bounds."""
        total = np.zeros(len(codes))
        exact = self._exact(codes)
        for constraint in self._limits():
            excess = exact[constraint.metric] - constraint.bound
            excess = excess if constraint.op is ConstraintOp.AT_MOST else -excess
            total += np.maximum(0.0, excess) / max(abs(constraint.bound), 1.0)
        return total

    def _limits(self) -> Iterator[OutcomeConstraint]:
        return (limit for limit in self.problem.constraints if limit.metric in self.problem.exact_metrics)

    def _exact(self, codes: Codes) -> Mapping[str, Float64[np.ndarray, " n"]]:
        candidates = Candidates(self.problem.grid, codes)
        named = {objective.metric for objective in self.problem.objectives}
        named |= {limit.metric for limit in self._limits()}
        return {
            metric: values(candidates) if len(codes) else np.empty(0)
            for metric, values in self.problem.exact_metrics.items()
            if metric in named
        }


def filter_after(
    problem: Problem, observations: Iterable[Observation], *, pending: Iterable[Parameterization]
) -> CandidateFilter:
    """Return the filter that drops what is observed, pending or excluded."""
    keys = (
        problem.key(observation.parameterization) if observation.key is None else observation.key
        for observation in observations
    )
    return CandidateFilter(problem, {*keys, *map(problem.key, (*pending, *problem.excluded))})
