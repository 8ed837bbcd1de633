"""Objectives, constraints, and the metrics they may name.

Metrics are of two kinds. A known metric is an exact function of the configuration; a measured one
needs a trial. The optimiser never models a known metric.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from api_schemas.base import Schema


class Direction(StrEnum):
    """Which way an objective is better."""

    MAXIMIZE = "maximize"
    MINIMIZE = "minimize"


class Metric(StrEnum):
    """The numbers that a trial of our own workers yields; objectives and constraints name them."""

    SCORE = "score"
    TRAINABLE_PARAMETERS = "trainable_parameters"
    LATENCY_MS = "latency_ms"
    PEAK_MEMORY_BYTES = "peak_memory_bytes"
    TRAINING_SECONDS = "training_seconds"


LOG_METRICS: frozenset[str] = frozenset({Metric.TRAINABLE_PARAMETERS, Metric.PEAK_MEMORY_BYTES})
"""Metrics that span orders of magnitude: hypervolume, plots and the optimiser take their log10."""


MetricName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
"""A `Metric`, or a number of the caller's own where the caller runs the trials."""


class Objective(Schema):
    """A metric to push in one direction.

    `reference` is the worst value that still counts, in the metric's unit.
    """

    metric: MetricName
    direction: Direction
    reference: float | None = None


class ConstraintOp(StrEnum):
    """On which side of the bound a metric must stay."""

    AT_MOST = "<="
    AT_LEAST = ">="


class OutcomeConstraint(Schema):
    """A limit that a trial must keep to stand on the front."""

    metric: MetricName
    op: ConstraintOp
    bound: float

    def holds(self, value: float) -> bool:
        """Say whether a value keeps the limit."""
        return value <= self.bound if self.op is ConstraintOp.AT_MOST else value >= self.bound
