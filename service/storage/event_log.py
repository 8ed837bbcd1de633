"""The append-only log of what happened to a study. Decides nothing."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from api_schemas.events import EventType
from service.storage.models import Event, Replicate, Study, Trial


def record_event(
    session: Session, study: Study, type_: EventType, *, trial: Trial | None = None, **body: Any
) -> None:
    """Append an event under the study's lock, so that numbers have no gaps and keep the order of commits."""
    _append(session, study, type_, trial.id if trial else None, trial.attempt if trial else None, body)


def record_replicate_event(
    session: Session, study: Study, type_: EventType, *, replicate: Replicate, **body: Any
) -> None:
    """Append an event of one replicate, with the attempt that it is at."""
    body = {"replicate": replicate.number, **body}
    _append(session, study, type_, replicate.trial_id, replicate.attempt, body)


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


def last_sequence(session: Session, study_id: str) -> int | None:
    """Return the number of a study's last event; None if there is no such study any more."""
    return session.scalar(select(Study.event_sequence).where(Study.id == study_id))


def _append(
    session: Session,
    study: Study,
    type_: EventType,
    trial_id: str | None,
    attempt: int | None,
    body: dict[str, Any],
) -> None:
    study.event_sequence += 1
    session.add(
        Event(
            study_id=study.id,
            sequence=study.event_sequence,
            type=type_,
            trial_id=trial_id,
            attempt=attempt,
            body=body,
        )
    )
