"""Queries for running replicates whose lease is over by the database's clock. Changes no state."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, func, select, tuple_
from sqlalchemy.orm import Session

from api_schemas.trials import TrialState
from service.storage.models import Replicate
from service.storage.queries import locked


class ExpiredLease(NamedTuple):
    """A lease that was over when somebody looked; by the time of a lock it may have been renewed."""

    expires_at: datetime
    trial_id: str
    attempt: int


def expired_leases(
    session: Session, *, at_most: int, after: ExpiredLease | None = None
) -> list[ExpiredLease]:
    """Find leases that are over, the oldest first, from the one after `after`. Takes no lock."""
    columns = (Replicate.lease_expires_at, Replicate.trial_id, Replicate.attempt)
    query = select(*columns).where(_is_over()).order_by(*columns).limit(at_most)
    if after is not None:
        query = query.where(tuple_(*columns) > tuple_(*after))
    return [ExpiredLease._make(row) for row in session.execute(query)]


def lock_expired(session: Session, lease: ExpiredLease) -> Replicate | None:
    """Take the row lock of a replicate whose lease is over; None if it was, or is just being, renewed."""
    mine = (Replicate.trial_id == lease.trial_id) & (Replicate.attempt == lease.attempt)
    return session.scalar(locked(select(Replicate).where(mine, _is_over()), wait=False))


def _is_over() -> ColumnElement[bool]:
    return (Replicate.state == TrialState.RUNNING) & (Replicate.lease_expires_at < func.clock_timestamp())
