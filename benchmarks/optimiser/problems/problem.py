"""What a benchmark problem is, and the one place where it becomes a problem of the optimiser."""

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from api_schemas.objectives import Objective, OutcomeConstraint
from api_schemas.search_space import Parameterization, SearchSpace
from service.optimization.grid import Candidates
from service.optimization.problem import ExactMetric, Problem

Columns = Mapping[str, NDArray[np.generic]]
"""Parameter name to the values of that parameter in n parameterizations, in their own type."""

ColumnMetric = Callable[[Columns], NDArray[np.float64]]
"""The exact values of a known metric, one for each of the n rows of the columns."""


class ProblemUnavailable(Exception):
    """The problem's data is not here; the message says how to get it."""


@dataclass(frozen=True)
class BenchmarkProblem:
    """A search space, what to optimise in it, and how good the best possible front is.

    Every objective has a reference, in its metric's unit. `evaluate` gives the metrics of a
    parameterization without noise, or None if the configuration cannot run at all. Metrics that
    break a constraint are still given. `best_hypervolume` is on the scales of
    `benchmarks.optimiser.hypervolume`; `best_is` says where it comes from.
    """

    name: str
    family: str
    search_space: SearchSpace
    objectives: tuple[Objective, ...]
    constraints: tuple[OutcomeConstraint, ...]
    exact_metrics: Mapping[str, ColumnMetric]
    evaluate: Callable[[Parameterization], dict[str, float] | None]
    key: Callable[[Parameterization], Hashable]
    best_hypervolume: float
    best_is: str
    held_out: bool = False

    @property
    def reference_point(self) -> tuple[float, ...]:
        """Return the worst value of each objective that still counts, in its metric's unit."""
        return tuple(math.nan if one.reference is None else one.reference for one in self.objectives)


def by_value(parameterization: Parameterization) -> Hashable:
    """Tell parameterizations apart by all their values: nothing in the space is redundant."""
    return tuple(sorted(parameterization.items()))


def columns_of(space: SearchSpace, parameterizations: Sequence[Parameterization]) -> Columns:
    """Turn parameterizations of a space without conditions into columns."""
    return {
        parameter.name: np.array([values[parameter.name] for values in parameterizations])
        for parameter in space.parameters
    }


def engine_problem(problem: BenchmarkProblem) -> Problem:
    """State a benchmark problem as the optimiser is asked it."""
    return Problem(
        search_space=problem.search_space,
        objectives=problem.objectives,
        constraints=problem.constraints,
        exact_metrics={name: _on_rows(problem, metric) for name, metric in problem.exact_metrics.items()},
        key=problem.key,
        reference_point=problem.reference_point,
        starting_points=(),
    )


def _on_rows(problem: BenchmarkProblem, metric: ColumnMetric) -> ExactMetric:
    def values(candidates: Candidates) -> NDArray[np.float64]:
        names = [parameter.name for parameter in problem.search_space.parameters]
        return metric({name: candidates.values(name) for name in names})

    return values
