"""Queries for studies that need a worker: which is next, which were forgotten. Changes no state."""

from datetime import timedelta

from sqlalchemy import ColumnElement, and_, exists, func, or_, select, update
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
    """Take the row lock of a study whose turn has expired; None if it was renewed meanwhile, or is in use."""
    return lock_where(session, Study.turn_expires_at < func.clock_timestamp(), study_id=study_id)


def mend_times(session: Session, *, longest_pause: timedelta, lease: timedelta) -> None:
    """Bring forward turns that are due later than any delay allows: the clock was set back since.

    Skips studies in use.
    """
    now = func.clock_timestamp()
    for too_late, mended in (
        (Study.turn_due_at > now + longest_pause, {"turn_due_at": now}),
        (Study.turn_expires_at > now + 2 * lease, {"turn_expires_at": now + lease}),
    ):
        free = select(Study.id).where(too_late).with_for_update(skip_locked=True)
        session.execute(update(Study).where(Study.id.in_(free)).values(**mended))


def ids_where(session: Session, condition: ColumnElement[bool], *, at_most: int, after: str) -> list[str]:
    """Find the ids of studies that fulfil a condition, from the one after `after`. Takes no lock."""
    query = select(Study.id).where(condition, Study.id > after).order_by(Study.id).limit(at_most)
    return list(session.scalars(query))


def lock_where(session: Session, condition: ColumnElement[bool], *, study_id: str) -> Study | None:
    """Take the row lock of a study that fulfils a condition; None if it is in use, or no longer does."""
    return session.scalar(queries.locked(select(Study).where(Study.id == study_id, condition), wait=False))


def to_wake(*, silent_for: timedelta, at_most: timedelta) -> ColumnElement[bool]:
    """Return the condition of studies that are due and whose last wake-up is old.

    The longer a study has waited, the older its last wake-up may be, so that a worker that was busy for long
    finds few of them; but never older than `at_most`.
    """
    now = func.clock_timestamp()
    waited = func.least(at_most, Study.woken_at - Study.turn_due_at)
    # A time far in the future is from before the clock was set back.
    old = or_(Study.woken_at < now - func.greatest(silent_for, waited), Study.woken_at > now + silent_for)
    return and_(Study.turn_due_at <= now, Study.turn_holder.is_(None), old)


def forgotten(*, silent_for: timedelta) -> ColumnElement[bool]:
    """Return the condition of active studies that have not been due for long."""
    return and_(
        Study.state == StudyState.ACTIVE,
        Study.turn_due_at.is_(None),
        Study.turn_holder.is_(None),
        Study.woken_at < func.clock_timestamp() - silent_for,
    )


def to_hint_at(*, silent_for: timedelta) -> ColumnElement[bool]:
    """Return the condition of active studies of ours with waiting replicates and no late hint."""
    waiting = exists().where(Replicate.study_id == Study.id, Replicate.state == TrialState.QUEUED)
    return and_(
        Study.state == StudyState.ACTIVE,
        Study.kind != StudyKind.CUSTOM,
        Study.hinted_at < func.clock_timestamp() - silent_for,
        waiting,
    )
