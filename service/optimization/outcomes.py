"""Metrics as outcomes: which are modelled, which are exact, and the only place where signs flip."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from api_schemas.objectives import ConstraintOp, Direction, log_scaled
from service.clipping import reference_below
from service.noise import noise_of
from service.optimization.grid import Candidates
from service.optimization.problem import Observation, Problem


@dataclass(frozen=True)
class Outcome:
    """A metric on the optimiser's scale and with its sign."""

    metric: str
    sign: float
    exact: bool
    log: bool = False
    """Whether the study declares that the metric spans orders of magnitude."""
    count: bool = False
    """Whether it is a count or a size: on a logarithmic scale that begins at 1."""
    limits: tuple[float, ...] = ()
    """The bounds of its constraints, on the optimiser's scale."""

    @property
    def is_log(self) -> bool:
        """Return whether the optimiser's scale is the log10."""
        return self.log or self.count

    def has_place_for(self, raw: float) -> bool:
        """Return whether the optimiser's scale has a raw value."""
        return raw > 0 or self.count or not self.log

    def value(self, raw: float) -> float:
        """Return a raw value on the optimiser's scale."""
        return self.sign * (log_scaled(raw, count=self.count) if self.is_log else raw)

    def values(self, raw: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
        """Return raw values on the optimiser's scale."""
        least = 1.0 if self.count else 0.0
        return np.asarray(self.sign * (np.log10(np.maximum(raw, least)) if self.is_log else raw))

    def variance(self, raw: float, standard_error: float) -> float:
        """Return the square of a standard error on the optimiser's scale, to first order."""
        if self.count:
            raw = max(raw, 1.0)
        elif not self.log:
            return standard_error**2
        return (standard_error / (raw * math.log(10))) ** 2


def outcomes_of(problem: Problem) -> tuple[Outcome, ...]:
    """Return the objectives in their order, then metrics that only a constraint names.

    Of the latter, the side that keeps the limit is the better one.
    """
    named = {
        objective.metric: 1.0 if objective.direction is Direction.MAXIMIZE else -1.0
        for objective in problem.objectives
    }
    for constraint in problem.constraints:
        named.setdefault(constraint.metric, 1.0 if constraint.op is ConstraintOp.AT_LEAST else -1.0)
    logarithmic = {objective.metric for objective in problem.objectives if objective.log}
    outcomes = [
        Outcome(
            metric,
            sign,
            metric in problem.exact_metrics,
            log=metric in logarithmic,
            count=metric in problem.counts,
        )
        for metric, sign in named.items()
    ]
    return tuple(replace(outcome, limits=_limits(problem, outcome)) for outcome in outcomes)


def _limits(problem: Problem, outcome: Outcome) -> tuple[float, ...]:
    return tuple(
        outcome.value(constraint.bound)
        for constraint in problem.constraints
        if constraint.metric == outcome.metric
    )


def in_unit(outcome: Outcome, values: Float64[Tensor, " n"]) -> list[float]:
    """Return values of the optimiser's scale in the metric's unit; of a mean of log10, that is the median."""
    signed = outcome.sign * values
    return [float(value) for value in (10.0**signed if outcome.is_log else signed)]


def observed_values(
    outcomes: Sequence[Outcome], metrics: Sequence[Mapping[str, float]]
) -> Float64[Tensor, "n m"]:
    """Return observed metrics on the optimiser's scale."""
    rows = [[outcome.value(observed[outcome.metric]) for outcome in outcomes] for observed in metrics]
    return torch.tensor(rows, dtype=torch.double).reshape(len(rows), len(outcomes))


def observed_variances(
    outcomes: Sequence[Outcome], observations: Sequence[Observation]
) -> list[Float64[Tensor, "n 1"] | None]:
    """Return the noise variance of each outcome's observations; None where nothing is known of it."""
    return [_variances(outcome, observations) for outcome in outcomes]


def _variances(outcome: Outcome, observations: Sequence[Observation]) -> Float64[Tensor, "n 1"] | None:
    def errors(of: Sequence[Mapping[str, float] | None]) -> Float64[np.ndarray, " n"]:
        pairs = zip(observations, of, strict=True)
        return np.array([_error(outcome, observation, own) for observation, own in pairs])

    found = noise_of(
        seeds=np.array([observation.seeds for observation in observations], dtype=float),
        errors=errors([observation.standard_errors for observation in observations]),
        row_errors=errors([observation.row_errors for observation in observations]),
    )
    if found is None:
        return None
    predicted = np.nan_to_num(errors([observation.prediction_errors for observation in observations]))
    return torch.from_numpy(found.of_mean + predicted**2).unsqueeze(1)


def _error(outcome: Outcome, observation: Observation, errors: Mapping[str, float] | None) -> float:
    """Return a standard error on the optimiser's scale; not a number where it is unknown."""
    name = outcome.metric
    if not observation.metrics or not errors or name not in errors:
        return math.nan
    return math.sqrt(outcome.variance(observation.metrics[name], errors[name]))


def exact_values(
    problem: Problem, outcomes: Sequence[Outcome], candidates: Candidates
) -> Float64[Tensor, "n k"]:
    """Return the exact outcomes."""
    columns = [
        outcome.values(problem.exact_metrics[outcome.metric](candidates))
        for outcome in outcomes
        if outcome.exact
    ]
    return torch.from_numpy(np.array(columns).reshape(len(columns), len(candidates)).T)


class Limit(NamedTuple):
    """A constraint on an outcome: it holds exactly where `sign * value + offset <= 0`."""

    column: int
    sign: float
    offset: float

    def excess(self, Y: Float64[Tensor, "*n m"]) -> Float64[Tensor, "*n"]:
        """Return by how much rows of outcomes break the limit; negative where they keep it."""
        return self.sign * Y[..., self.column] + self.offset


def limits_of(problem: Problem, outcomes: Sequence[Outcome]) -> tuple[Limit, ...]:
    """Return the constraints on the scale of the outcomes, in their order."""
    columns = {outcome.metric: column for column, outcome in enumerate(outcomes)}
    limits = []
    for constraint in problem.constraints:
        outcome = outcomes[columns[constraint.metric]]
        sign = outcome.sign if constraint.op is ConstraintOp.AT_MOST else -outcome.sign
        limits.append(Limit(columns[constraint.metric], sign, -sign * outcome.value(constraint.bound)))
    return tuple(limits)


def keeps_limits(limits: Sequence[Limit], Y: Float64[Tensor, "n m"]) -> Bool[Tensor, " n"]:
    """Return which rows of outcomes keep every limit."""
    kept = torch.ones(len(Y), dtype=torch.bool)
    for limit in limits:
        kept &= limit.excess(Y) <= 0
    return kept


def reference_values(
    problem: Problem, outcomes: Sequence[Outcome], Y: Float64[Tensor, "n m"]
) -> Float64[Tensor, " objectives"]:
    """Return the reference point on the optimiser's scale, inferring it if the problem has none."""
    count = len(problem.objectives)
    if problem.reference_point is not None:
        values = [
            outcome.value(raw) for outcome, raw in zip(outcomes[:count], problem.reference_point, strict=True)
        ]
        return torch.tensor(values, dtype=torch.double)
    return torch.tensor([reference_below(y.numpy()) for y in Y.T[:count]], dtype=torch.double)
