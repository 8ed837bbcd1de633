"""The append-only log of what happened to a study. Decides nothing."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, insert, select
from sqlalchemy.orm import Session

from api_schemas.events import EventType
from service.storage.models import Event, Replicate, Study, Trial

OF_RUNS = (
    EventType.TRIAL_STARTED,
    EventType.TRIAL_RESUMED,
    EventType.TRIAL_REQUEUED,
    EventType.REPLICATE_ENDED,
)


def record_event(
    session: Session, study: Study, type_: EventType, *, trial: Trial | None = None, **body: Any
) -> None:
    """Append an event under the study's lock, so that numbers have no gaps and keep the order of commits."""
    of_trial = {"trial_id": trial.id, "attempt": trial.attempt} if trial else {}
    _append(session, study, type_, body=body, **of_trial)


def record_replicate_event(
    session: Session, study: Study, type_: EventType, *, replicate: Replicate, **body: Any
) -> None:
    """Append an event of one replicate, with the attempt that it is at."""
    body = {"replicate": replicate.number, **body}
    _append(session, study, type_, body=body, trial_id=replicate.trial_id, attempt=replicate.attempt)


def record_imports(session: Session, study: Study, trials: Sequence[tuple[str, dict[str, Any]]]) -> None:
    """Append an event for each of many trials that were imported, given by their ids."""
    rows = [
        {
            "study_id": study.id,
            "sequence": sequence,
            "type": EventType.TRIAL_IMPORTED,
            "trial_id": trial_id,
            "attempt": 0,
            "body": body,
        }
        for sequence, (trial_id, body) in enumerate(trials, start=study.event_sequence + 1)
    ]
    study.event_sequence += len(rows)
    session.flush()
    session.execute(insert(Event), rows)


def list_events(session: Session, study_id: str, *, after: int, page_size: int) -> list[Event]:
    """Read the events of a study, oldest first, from the one after a number."""
    query = (
        select(Event)
        .where(Event.study_id == study_id, Event.sequence > after)
        .order_by(Event.sequence)
        .limit(page_size)
    )
    return list(session.scalars(query))


def run_events(session: Session, study_id: str) -> Sequence[Row[Any]]:
    """Read what began and ended attempts at a study's trials, oldest first, with the trials' numbers."""
    query = (
        select(Event.type, Event.trial_id, Event.attempt, Event.body, Event.recorded_at, Trial.number)
        .join(Trial, Trial.id == Event.trial_id)
        .where(Event.study_id == study_id, Event.type.in_(OF_RUNS))
        .order_by(Event.sequence)
    )
    return session.execute(query).all()


def last_sequence(session: Session, study_id: str) -> int | None:
    """Return the number of a study's last event; None if there is no such study any more."""
    return session.scalar(select(Study.event_sequence).where(Study.id == study_id))


def _append(session: Session, study: Study, type_: EventType, **columns: Any) -> None:
    study.event_sequence += 1
    session.add(Event(study_id=study.id, sequence=study.event_sequence, type=type_, **columns))
