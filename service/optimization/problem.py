"""The optimiser's input and output: problems, observations, suggestions, beliefs."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Float64

from api_schemas.objectives import LOG_METRICS, Objective, OutcomeConstraint
from api_schemas.proposals import Explanation
from api_schemas.search_space import Parameterization, SearchSpace
from service.optimization.grid import Candidates, Codes, Grid

MODELLED_POINTS = 150
"""Observations of a former study that are modelled; of more, a random part."""

ExactMetric = Callable[[Candidates], Float64[np.ndarray, " n"]]
"""The exact values of a metric for many candidates, in the metric's unit."""


@dataclass(frozen=True)
class Observation:
    """A trial that has ended. `metrics` is None if the configuration proved infeasible.

    Metrics are means over `seeds`. All errors are in the metrics' units, and None where unknown:
    `standard_errors` are over the seeds, `row_errors` over the rows that a metric is measured on, and
    `prediction_errors` of what was not measured but predicted. `key` is the problem's key of the
    parameterization, if it is stored: computing it for thousands of trials takes seconds.
    """

    parameterization: Parameterization
    metrics: Mapping[str, float] | None
    standard_errors: Mapping[str, float] | None = None
    key: Hashable | None = None
    seeds: int = 1
    row_errors: Mapping[str, float] | None = None
    prediction_errors: Mapping[str, float] | None = None


@dataclass(frozen=True)
class Source:
    """A former study to learn from, mapped into this problem's search space.

    `starting_points` are run as they are; the observations are modelled.
    """

    study_id: str
    observations: tuple[Observation, ...] = ()
    starting_points: tuple[Parameterization, ...] = ()


@dataclass(frozen=True)
class Problem:
    """A search space, what to optimise in it, and the metrics that need no trial.

    `key` returns equal values for parameterizations that are the same trial. `reference_point` is in
    the metrics' units, in the order of the objectives; None means that it is inferred from the observations.
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
    """Metrics that are counts or sizes; none in a custom study, whose names carry no meaning."""
    spelled: Callable[[Candidates], Codes] | None = None
    """Writes candidates that are one trial in one way, where many settings come to it; models read that."""
    excluded: tuple[Parameterization, ...] = ()
    """What is neither suggested again nor awaited: trials that failed or were cancelled tell nothing."""

    @cached_property
    def grid(self) -> Grid:
        """The search space, ready for arithmetic on many candidates."""
        return Grid(self.search_space)


@dataclass(frozen=True)
class Suggestion:
    """A parameterization to try, the rule that suggested it, and the model's explanation.

    The seconds that fitting and searching took are not compared.
    """

    parameterization: Parameterization
    generated_by: str
    explanation: Explanation | None = None
    fit_seconds: float = field(default=0.0, compare=False)
    search_seconds: float = field(default=0.0, compare=False)


@dataclass(frozen=True)
class Compared:
    """The trial, by its key, and the metric that differences are wanted of."""

    key: Hashable
    metric: str


@dataclass(frozen=True)
class Beliefs:
    """What is believed of trials, in their order; values are in the metrics' units and have no exact metric.

    `members` are those whose means no others dominate. `difference_deviations` are of each trial's metric
    less that of the trial it is compared with, and `noise` is the deviation of one observation of that
    metric; both are None without such a trial.
    """

    keys: tuple[Hashable, ...]
    means: Mapping[str, list[float]]
    deviations: Mapping[str, list[float]]
    members: tuple[int, ...]
    front_probabilities: list[float]
    difference_deviations: list[float] | None
    noise: float | None
