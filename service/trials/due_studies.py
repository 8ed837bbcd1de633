"""Queries for studies that need a worker: which is next, which were forgotten. Changes no state."""

from datetime import timedelta

from sqlalchemy import exists, func, or_, select, update
from sqlalchemy.orm import Session

from api_schemas.studies import StudyKind, StudyState
from api_schemas.trials import TrialState
from service.storage import queries
from service.storage.models import Replicate, Study, Tenant


def next_due(session: Session, *, wait: bool) -> Study | None:
    """Lock the study that is to have the next turn; without `wait`, past those in use.

    Turns go round the tenants; of a tenant's studies, the one that has been due the longest is next.
    """
    query = (
        select(Study)
        .join(Tenant, Tenant.id == Study.tenant_id)
        .where(Study.turn_due_at <= func.clock_timestamp(), Study.turn_holder.is_(None))
        .order_by(Tenant.served_at.nulls_first(), Study.turn_due_at)
        .limit(1)
        .with_for_update(skip_locked=not wait, of=Study)
        .execution_options(populate_existing=True)
    )
    return session.scalar(query)


def lock_turn(session: Session, study_id: str, *, holder: str) -> Study | None:
    """Take the row lock of a study whose turn the holder has; None if it has lost it."""
    query = select(Study).where(Study.id == study_id, Study.turn_holder == holder)
    return session.scalar(queries.locked(query))


def silent_turns(session: Session) -> list[str]:
    """Find studies whose turn has not been renewed in time. Takes no lock."""
    return list(session.scalars(select(Study.id).where(Study.turn_expires_at < func.clock_timestamp())))


def lock_silent_turn(session: Session, study_id: str) -> Study | None:
    """Take the row lock of a study whose turn has expired; None if it was renewed meanwhile."""
    over = Study.turn_expires_at < func.clock_timestamp()
    return session.scalar(queries.locked(select(Study).where(Study.id == study_id, over)))


def mend_times(session: Session, *, longest_pause: timedelta, lease: timedelta) -> None:
    """Bring forward turns that are due later than any delay allows: the clock was set back since."""
    now = func.clock_timestamp()
    session.execute(update(Study).where(Study.turn_due_at > now + longest_pause).values(turn_due_at=now))
    session.execute(
        update(Study).where(Study.turn_expires_at > now + 2 * lease).values(turn_expires_at=now + lease)
    )


def studies_to_wake(session: Session, *, silent_for: timedelta, at_most: timedelta) -> list[Study]:
    """Find studies that are due and whose last wake-up is old, locked, skipping those in use.

    The longer a study has waited, the older its last wake-up may be, so that a worker that was busy for long
    finds few of them; but never older than `at_most`.
    """
    now = func.clock_timestamp()
    waited = func.least(at_most, Study.woken_at - Study.turn_due_at)
    # A time far in the future is from before the clock was set back.
    old = or_(Study.woken_at < now - func.greatest(silent_for, waited), Study.woken_at > now + silent_for)
    query = (
        select(Study)
        .where(Study.turn_due_at <= now, Study.turn_holder.is_(None), old)
        .with_for_update(skip_locked=True)
    )
    return list(session.scalars(query))


def forgotten_studies(session: Session, *, silent_for: timedelta) -> list[Study]:
    """Find active studies that have not been due for long, locked, skipping those in use."""
    query = (
        select(Study)
        .where(
            Study.state == StudyState.ACTIVE,
            Study.turn_due_at.is_(None),
            Study.turn_holder.is_(None),
            Study.woken_at < func.clock_timestamp() - silent_for,
        )
        .with_for_update(skip_locked=True)
    )
    return list(session.scalars(query))


def studies_to_hint_at(session: Session, *, silent_for: timedelta) -> list[Study]:
    """Find active studies of ours with waiting replicates and no late hint, locked, skipping those in use."""
    waiting = exists().where(Replicate.study_id == Study.id, Replicate.state == TrialState.QUEUED)
    query = (
        select(Study)
        .where(
            Study.state == StudyState.ACTIVE,
            Study.kind != StudyKind.CUSTOM,
            Study.hinted_at < func.clock_timestamp() - silent_for,
            waiting,
        )
        .with_for_update(skip_locked=True)
    )
    return list(session.scalars(query))
