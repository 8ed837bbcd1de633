"""What the tools answer: the API's answers, as short as a language model wants them."""

from datetime import datetime

from pydantic import Field, JsonValue

from api_schemas.base import Schema
from api_schemas.events import EventRead, EventType
from api_schemas.objectives import Objective, OutcomeConstraint
from api_schemas.pareto import FrontBasis
from api_schemas.proposals import Prediction
from api_schemas.recommendation import (
    AgainstDefault,
    FrontRange,
    LostAlternative,
    Recommendation,
    RecommendationRule,
)
from api_schemas.search_space import Parameterization
from api_schemas.studies import ReplicateCounts, StudyKind, StudyRead, StudyState, TrialCounts
from api_schemas.trials import TrialRead, TrialState


class StudySummary(Schema):
    """Where a study stands. `budget_trials` is how many trials it may propose."""

    study_id: str
    kind: StudyKind
    display_name: str
    state: StudyState
    state_reason: str | None
    backbone: str | None
    task: str | None
    objectives: tuple[Objective, ...]
    constraints: tuple[OutcomeConstraint, ...]
    budget_trials: int
    trials: TrialCounts
    replicates: ReplicateCounts
    hypervolume: float | None
    created_at: datetime
    finished_at: datetime | None


class StudyList(Schema):
    """Studies, newest first; `has_more` says that the limit left some out."""

    studies: tuple[StudySummary, ...]
    has_more: bool


class StudyFormat(Schema):
    """How to write a study: an example, what to know, and the JSON Schema if it was asked for."""

    example: dict[str, JsonValue]
    notes: tuple[str, ...]
    json_schema: dict[str, JsonValue] | None


class EventSummary(Schema):
    """One thing that happened."""

    number: int
    type: EventType
    trial_id: str | None
    body: dict[str, JsonValue]
    recorded_at: datetime


class StudyProgress(Schema):
    """A study and what happened to it, oldest first; give `last_event` to the next call as `after_event`.

    `omitted_events` older ones were left out.
    """

    study: StudySummary
    events: tuple[EventSummary, ...]
    omitted_events: int
    last_event: int


class TrialRow(Schema):
    """A trial: its parameters, its metrics (of the validation split), and whether it is on the front."""

    number: int
    trial_id: str
    state: TrialState
    state_reason: str | None
    generated_by: str
    modules: str
    parameters: Parameterization
    metrics: dict[str, float]
    metric_standard_errors: dict[str, float]
    on_front: bool
    files: tuple[str, ...]


class TrialList(Schema):
    """Trials by number; `next_number` is where to go on, null at the end."""

    trials: tuple[TrialRow, ...]
    next_number: int | None


class ChosenPoint(Schema):
    """A point of the front, why it was chosen, and the alternatives that were lost.

    `number` is null where the front has no clear knee: `reason` says why, and `ranges` has bounds to
    choose by. `front_probability` is the chance that it truly is on the front, given the noise;
    `against_default` compares it with LoRA of rank 8. `metrics` are as measured; `believed` has what the
    models make of noisy ones, which is what a rule goes by where `by` is believed.
    """

    study_id: str
    rule: RecommendationRule
    by: FrontBasis
    believed_sequence: int | None
    reason: str
    number: int | None
    trial_id: str | None
    metrics: dict[str, float]
    metric_standard_errors: dict[str, float]
    believed: dict[str, Prediction]
    test_metrics: dict[str, float]
    parameters: Parameterization
    modules: str
    ranges: tuple[FrontRange, ...]
    against_default: AgainstDefault | None
    lost: tuple[LostAlternative, ...]
    front_probability: float | None
    front_probability_reason: str
    files: tuple[str, ...]


class ExportedTrial(Schema):
    """What can be taken home of a trial. `configuration` is null where the trials are the caller's own."""

    study_id: str
    number: int
    parameters: Parameterization
    configuration: dict[str, JsonValue] | None
    folder: str | None = Field(description="Absolute; null if no folder was named.")
    files: tuple[str, ...]


def study_summary(study: StudyRead) -> StudySummary:
    """Return where a study stands."""
    return StudySummary.copied_from(
        study,
        study_id=study.id,
        backbone=study.configuration.backbone if study.configuration else None,
        task=study.configuration.task.owners_name if study.configuration else None,
        budget_trials=study.budget.trials,
        replicates=study.replicate_counts,
    )


def event_summary(event: EventRead) -> EventSummary:
    """Leave out what every event of the study says."""
    return EventSummary.copied_from(event, number=event.sequence)


def trial_row(trial: TrialRead) -> TrialRow:
    """Leave out the configuration, the replicates and the learning curve."""
    files = tuple(record.name for record in trial.artifacts)
    return TrialRow.copied_from(trial, trial_id=trial.id, files=files)


def chosen_point(found: Recommendation) -> ChosenPoint:
    """Leave out the configuration and the study file, which are long."""
    return ChosenPoint.copied_from(found, files=found.artifacts)
