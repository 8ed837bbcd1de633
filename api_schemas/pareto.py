"""The Pareto front of a study and the history of its hypervolume."""

from datetime import datetime

from pydantic import Field

from api_schemas.base import Schema
from api_schemas.objectives import Objective
from api_schemas.search_space import Parameterization


class ParetoPoint(Schema):
    """A trial for which no other is better in every objective.

    Metrics are means over `seeds` replicates; standard errors are empty for a single seed.
    """

    trial_id: str
    number: int
    metrics: dict[str, float]
    test_metrics: dict[str, float]
    metric_standard_errors: dict[str, float] = Field(default_factory=dict)
    test_metric_standard_errors: dict[str, float] = Field(default_factory=dict)
    seeds: int = 1
    collapsed: bool = False
    parameters: Parameterization
    is_head_only: bool


class ParetoFront(Schema):
    """The front after `sequence` accepted results, ordered by the first objective, best first.

    A trial's first result and each of its final replicates are one result each.

    Hypervolume is taken over the objectives in their directions, those on a logarithmic scale as log10;
    null until every objective has a reference.
    """

    study_id: str
    sequence: int
    objectives: tuple[Objective, ...]
    points: tuple[ParetoPoint, ...]
    reference_point: tuple[float, ...] | None
    hypervolume: float | None


class HypervolumeRecord(Schema):
    """The hypervolume after one more accepted result."""

    sequence: int
    trial_id: str
    hypervolume: float | None
    recorded_at: datetime


class HypervolumeHistory(Schema):
    """The hypervolume after each accepted result, oldest first."""

    study_id: str
    records: tuple[HypervolumeRecord, ...]
