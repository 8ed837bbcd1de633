"""The Pareto front of a study and the history of its hypervolume."""

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from api_schemas.base import Schema
from api_schemas.objectives import Objective
from api_schemas.proposals import Prediction
from api_schemas.search_space import Parameterization


class FrontBasis(StrEnum):
    """Which numbers make the front."""

    OBSERVED = "observed"
    """What was measured."""
    BELIEVED = "believed"
    """Posterior means of the models where a metric is noisy, and the values of exact metrics."""


class ParetoPoint(Schema):
    """A trial for which no other is better in every objective.

    Metrics are means over `seeds` replicates, as measured; standard errors are empty for a single seed.
    `believed` has posterior mean and deviation of each noisy objective, and `front_probability` is the
    chance that the trial truly is on the front, by joint draws; empty and null before there is a model.
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
    believed: dict[str, Prediction] = Field(default_factory=dict)
    front_probability: float | None = Field(default=None, ge=0, le=1)

    def metric(self, name: str, by: FrontBasis) -> float:
        """Return a metric as the front takes it: believed where it is noisy and the front is `by` belief."""
        believed = self.believed.get(name) if by is FrontBasis.BELIEVED else None
        return self.metrics[name] if believed is None else believed.mean


class ParetoFront(Schema):
    """The front after `sequence` accepted results, ordered by the first objective, best first.

    A trial's first result and each of its final replicates are one result each. `by` says which numbers make
    this front and its order; `reason` why it is the observed one, where the believed one was asked for.
    `believed_sequence` is after how many results beliefs were formed: the study worker needs a moment.

    A former front, asked for by `sequence`, has the members and the hypervolume of then; their metrics are
    those of now, for further seeds may have moved them since.

    Hypervolume is taken over the objectives in their directions, those on a logarithmic scale as log10;
    null until every objective has a reference.
    """

    study_id: str
    sequence: int
    objectives: tuple[Objective, ...]
    points: tuple[ParetoPoint, ...]
    reference_point: tuple[float, ...] | None
    hypervolume: float | None
    by: FrontBasis = FrontBasis.OBSERVED
    reason: str | None = None
    believed_sequence: int | None = None


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
