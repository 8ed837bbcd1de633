"""What the optimiser is asked, and what it answers."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from api_schemas.objectives import Objective, OutcomeConstraint
from api_schemas.proposals import Explanation
from api_schemas.search_space import Parameterization, SearchSpace
from service.optimization.grid import Candidates

KnownMetric = Callable[[Candidates], Float64[np.ndarray, " n"]]
"""The exact values of a metric for many candidates, in the metric's unit."""


@dataclass(frozen=True)
class Problem:
    """A search space, what to optimise in it, and what is known without a trial.

    `key` gives equal values for parameterizations that are the same trial. `reference_point` is in
    the metrics' units, in the order of the objectives; None lets the observations decide.
    """

    search_space: SearchSpace
    objectives: tuple[Objective, ...]
    constraints: tuple[OutcomeConstraint, ...]
    known_metrics: Mapping[str, KnownMetric]
    key: Callable[[Parameterization], Hashable]
    reference_point: tuple[float, ...] | None
    starting_points: tuple[Parameterization, ...]


@dataclass(frozen=True)
class Observation:
    """A trial that has ended. `metrics` is None if the configuration proved infeasible.

    `standard_errors` says how far each metric may be off, in the metric's unit; None if unknown.
    """

    parameterization: Parameterization
    metrics: Mapping[str, float] | None
    standard_errors: Mapping[str, float] | None = None


@dataclass(frozen=True)
class Suggestion:
    """A parameterization to try, which rule proposed it, and what a model thought of it."""

    parameterization: Parameterization
    generated_by: str
    explanation: Explanation | None = None
