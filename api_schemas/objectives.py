"""Objectives, constraints, and the metrics they may name.

Metrics are of two kinds. A known metric is an exact function of the configuration; a measured one
needs a trial. The optimiser never models a known metric.
"""

import math
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, PrivateAttr, TypeAdapter, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from api_schemas.base import Schema
from api_schemas.expression import Expression
from api_schemas.json_values import UNSIGNED_ZERO, Number


class Direction(StrEnum):
    """Which way an objective is better."""

    MAXIMIZE = "maximize"
    MINIMIZE = "minimize"


class Metric(StrEnum):
    """The numbers that a trial of our own workers yields; objectives and constraints name them."""

    SCORE = "score"
    TRAINABLE_PARAMETERS = "trainable_parameters"
    ADAPTER_BYTES = "adapter_bytes"
    ADAPTER_FLOPS = "adapter_flops"
    MODEL_PARAMETERS = "model_parameters"
    FLOPS = "flops"
    LATENCY_MS = "latency_ms"
    PEAK_MEMORY_BYTES = "peak_memory_bytes"
    TRAINING_SECONDS = "training_seconds"


NETWORK_METRICS: frozenset[str] = frozenset({Metric.MODEL_PARAMETERS, Metric.FLOPS})
"""Of the network that a trial ends in, which the service counts: workers count what they train."""

KNOWN_METRICS: frozenset[str] = NETWORK_METRICS | {
    Metric.TRAINABLE_PARAMETERS,
    Metric.ADAPTER_BYTES,
    Metric.ADAPTER_FLOPS,
}
"""Exact functions of the configuration: never measured, never modelled."""

LOG_METRICS: frozenset[str] = KNOWN_METRICS | {Metric.PEAK_MEMORY_BYTES}
"""Metrics that span orders of magnitude: hypervolume, plots and the optimiser take their log10.

Like all names of `Metric` these mean something in studies of kind `peft` only.
"""


SCORE_STANDARD_ERROR = "score_standard_error"
"""Beside the score of our own workers: how far it may be off for the rows that it is measured on."""

LARGEST_METRIC = 1e50
"""No metric nor reference may be larger, so that the volume over six of them is still a number."""

RESERVED_METRICS = frozenset({"stop", "chance", "predicted_score", "predicted_score_deviation"})
"""What the service itself writes beside the metrics of a trial."""

MetricName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$", max_length=64, examples=["latency_ms"])]
"""A `Metric`, or a number of the caller's own where the caller runs the trials."""

METRIC_NAMES = TypeAdapter[str](MetricName)


def is_metric_name(name: str) -> bool:
    """Return whether a metric may be called so."""
    try:
        METRIC_NAMES.validate_python(name)
    except ValidationError:
        return False
    return True


class Objective(Schema):
    """A metric to push in one direction.

    `reference` is the worst value that still counts, in the metric's unit. `log` is for a metric of the
    caller's own that spans orders of magnitude and is always greater than 0; those of `LOG_METRICS` need
    no such word.

    `known` computes the metric from the parameters of a custom study: nobody needs to measure it, and the
    optimiser takes it as it is.
    """

    _of_the_caller: bool = PrivateAttr(default=False)

    metric: MetricName
    direction: Direction
    reference: (
        Annotated[float, Field(strict=True, ge=-LARGEST_METRIC, le=LARGEST_METRIC), UNSIGNED_ZERO] | None
    ) = None
    log: bool = False
    known: Expression | None = None

    @model_validator(mode="after")
    def _check_reference_has_a_logarithm(self) -> Self:
        if self.log and self.reference is not None and self.reference <= 0:
            raise PydanticCustomError(
                "reference_log",
                "a reference on a logarithmic scale must be greater than 0",
                {"pointer": "reference"},
            )
        return self

    def of_the_caller(self) -> Self:
        """Return the objective of a custom study: its metric is the caller's, and its name means nothing."""
        own = self.model_copy()
        own._of_the_caller = True
        return own

    @property
    def of_the_service(self) -> bool:
        """Whether the metric's name means what `Metric` says."""
        return not self._of_the_caller

    @property
    def sign(self) -> float:
        """1 where more is better, else -1."""
        return 1.0 if self.direction is Direction.MAXIMIZE else -1.0

    @property
    def is_known(self) -> bool:
        """Whether the metric is an exact function of the configuration."""
        return self.known is not None or (not self._of_the_caller and self.metric in KNOWN_METRICS)

    @property
    def is_count(self) -> bool:
        """Whether the metric is a count or a size, on a logarithmic scale that begins at 1."""
        return not self._of_the_caller and self.metric in LOG_METRICS

    @property
    def is_log(self) -> bool:
        """Whether hypervolume, plots and the optimiser take this metric's log10."""
        return self.log or self.is_count


def log_scaled(value: float, *, count: bool) -> float:
    """Return the log10 of a metric that is taken on a logarithmic scale."""
    # A count or a size of zero has no logarithm; it counts as one.
    return math.log10(max(value, 1.0)) if count else math.log10(value)


class ConstraintOp(StrEnum):
    """On which side of the bound a metric must stay."""

    AT_MOST = "<="
    AT_LEAST = ">="


class OutcomeConstraint(Schema):
    """A limit that a trial must satisfy to be on the front. `known` is as for an objective."""

    metric: MetricName
    op: ConstraintOp
    bound: Number = Field(ge=-LARGEST_METRIC, le=LARGEST_METRIC)
    known: Expression | None = None

    def holds(self, value: float) -> bool:
        """Return whether a value satisfies the constraint."""
        return value <= self.bound if self.op is ConstraintOp.AT_MOST else value >= self.bound
