"""What may happen to a study. One row of the append-only `events` table each."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import Field

from api_schemas.base import Schema


class EventType(StrEnum):
    """The kinds of events."""

    STUDY_CREATED = "study.created"
    STUDY_PAUSED = "study.paused"
    STUDY_RESUMED = "study.resumed"
    STUDY_UPDATED = "study.updated"
    STUDY_EXTENDED = "study.extended"
    STUDY_CANCELLING = "study.cancelling"
    STUDY_CANCELLED = "study.cancelled"
    STUDY_SUCCEEDED = "study.succeeded"
    STUDY_FAILED = "study.failed"
    STUDY_ACCEPTED = "study.accepted"
    TRIAL_QUEUED = "trial.queued"
    TRIAL_REVISED = "trial.revised"
    TRIAL_STARTED = "trial.started"
    TRIAL_MEASURED = "trial.measured"
    TRIAL_REQUEUED = "trial.requeued"
    TRIAL_RESUMED = "trial.resumed"
    TRIAL_SUCCEEDED = "trial.succeeded"
    TRIAL_INFEASIBLE = "trial.infeasible"
    TRIAL_FAILED = "trial.failed"
    TRIAL_STOPPED_EARLY = "trial.stopped_early"
    TRIAL_CANCELLED = "trial.cancelled"
    TRIAL_IMPORTED = "trial.imported"
    TRIAL_CORRECTED = "trial.corrected"
    REPLICATE_QUEUED = "replicate.queued"
    REPLICATE_ENDED = "replicate.ended"
    IMPORTANCE_STORED = "importance.stored"
    FRONT_STORED = "front.stored"
    FRONT_BELIEVED = "front.believed"
    ONE_SHOT_SCORED = "one_shot.scored"
    ONE_SHOT_FAILED = "one_shot.failed"
    ONE_SHOT_COMPARED = "one_shot.compared"
    SEARCH_ENDED = "search.ended"
    RACE_ROUND = "race.round"
    RACE_ENDED = "race.ended"


class EventRead(Schema):
    """One event of a study. Its numbers begin at 1 and have no gaps; `body` depends on the type."""

    study_id: str
    sequence: int
    type: EventType
    trial_id: str | None
    attempt: int | None = Field(description="The fencing token of the trial, or of the replicate, by then.")
    body: dict[str, Any]
    recorded_at: datetime


class EventPage(Schema):
    """Events of a study, oldest first."""

    events: tuple[EventRead, ...]
    next_page_token: str | None
