"""What the optimiser is asked, and what it answers."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float64

from api_schemas.objectives import LOG_METRICS, Objective, OutcomeConstraint
from api_schemas.proposals import Explanation
from api_schemas.search_space import Parameterization, SearchSpace
from service.optimization.grid import Candidates

MODELLED_POINTS = 150
"""Observations of a former study that are modelled; of more, a random part."""

ExactMetric = Callable[[Candidates], Float64[np.ndarray, " n"]]
"""The exact values of a metric for many candidates, in the metric's unit."""


@dataclass(frozen=True)
class Observation:
    """A trial that has ended. `metrics` is None if the configuration proved infeasible.

    `standard_errors` says how far each metric may be off, in the metric's unit; None if unknown. `key` is
    what the problem's key gives, where it is at hand: for thousands of trials, computing it takes seconds.
    """

    parameterization: Parameterization
    metrics: Mapping[str, float] | None
    standard_errors: Mapping[str, float] | None = None
    key: Hashable | None = None


@dataclass(frozen=True)
class Source:
    """A former study to learn from, put into this problem's search space.

    `starting_points` are worth running as they are; the observations are modelled.
    """

    study_id: str
    observations: tuple[Observation, ...] = ()
    starting_points: tuple[Parameterization, ...] = ()


@dataclass(frozen=True)
class Problem:
    """A search space, what to optimise in it, and what is known without a trial.

    `key` gives equal values for parameterizations that are the same trial. `reference_point` is in
    the metrics' units, in the order of the objectives; None lets the observations decide.
    """

    search_space: SearchSpace
    objectives: tuple[Objective, ...]
    constraints: tuple[OutcomeConstraint, ...]
    exact_metrics: Mapping[str, ExactMetric]
    key: Callable[[Parameterization], Hashable]
    reference_point: tuple[float, ...] | None
    starting_points: tuple[Parameterization, ...]
    sources: tuple[Source, ...] = ()
    counts: frozenset[str] = LOG_METRICS
    """Metrics that are counts or sizes; none in a custom study, where names mean nothing."""


@dataclass(frozen=True)
class Suggestion:
    """A parameterization to try, which rule proposed it, and what a model thought of it.

    The seconds say what fitting and searching took for this one; they are not part of the answer.
    """

    parameterization: Parameterization
    generated_by: str
    explanation: Explanation | None = None
    fit_seconds: float = field(default=0.0, compare=False)
    search_seconds: float = field(default=0.0, compare=False)
