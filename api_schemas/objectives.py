"""Objectives, constraints, and the metrics they may name.

Metrics are of two kinds. A known metric is an exact function of the configuration; a measured one
needs a trial. The optimiser never models a known metric.
"""

from enum import StrEnum

from api_schemas.base import Schema


class Direction(StrEnum):
    """Which way an objective is better."""

    MAXIMIZE = "maximize"
    MINIMIZE = "minimize"


class Metric(StrEnum):
    """Every number that a trial yields and an objective or a constraint may name."""

    SCORE = "score"
    TRAINABLE_PARAMETERS = "trainable_parameters"
    LATENCY_MS = "latency_ms"
    PEAK_MEMORY_BYTES = "peak_memory_bytes"
    TRAINING_SECONDS = "training_seconds"


LOG_METRICS = frozenset({Metric.TRAINABLE_PARAMETERS, Metric.PEAK_MEMORY_BYTES})
"""Metrics that span orders of magnitude: hypervolume, plots and the optimiser take their log10."""


class Objective(Schema):
    """A metric to push in one direction.

    `reference` is the worst value that still counts, in the metric's unit.
    """

    metric: Metric
    direction: Direction
    reference: float | None = None


class ConstraintOp(StrEnum):
    """On which side of the bound a metric must stay."""

    AT_MOST = "<="
    AT_LEAST = ">="


class OutcomeConstraint(Schema):
    """A limit that a trial must keep to stand on the front."""

    metric: Metric
    op: ConstraintOp
    bound: float

    def holds(self, value: float) -> bool:
        """Say whether a value keeps the limit."""
        return value <= self.bound if self.op is ConstraintOp.AT_MOST else value >= self.bound
