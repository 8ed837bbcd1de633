"""Leases when the database's clock is set: live workers keep their trials, dead ones lose them.

A clock that went back shows in a lease that ends later than a lease lasts. One that went forward shows only
to a process that watched it meanwhile, beside a clock of its own that nobody sets. Either way running leases
begin anew, which costs a dead worker's trial one more lease. Knows no study.
"""

import time
from dataclasses import dataclass

import structlog
from sqlalchemy import func, select, true, tuple_, update
from sqlalchemy.orm import Session

from api_schemas.trials import TrialState
from service.settings import settings
from service.storage.clock import from_now
from service.storage.models import Replicate

log = structlog.get_logger(__name__)

TOLERATED_SECONDS = 2.0
"""A step of less shortens or lengthens a lease by no more than that."""


@dataclass(frozen=True)
class Look:
    """A reading of the database's clock, between two readings of this machine's own."""

    database_seconds: float
    before: float
    after: float


class WatchedClock:
    """The database's clock as one process saw it last."""

    def __init__(self) -> None:
        self.last: Look | None = None

    def leapt_before(self, look: Look) -> bool:
        """Return whether it has gone further since the last look than time did."""
        return self.last is not None and leaps_between(self.last, look)


def look(session: Session) -> Look:
    """Look at the database's clock."""
    before = time.monotonic()
    seconds = float(session.scalars(select(func.extract("epoch", func.clock_timestamp()))).one())
    return Look(seconds, before, time.monotonic())


def leaps_between(first: Look, second: Look) -> bool:
    """Return whether the database's clock went further than any time that can have passed."""
    most = second.after - first.before
    return second.database_seconds - first.database_seconds > most + TOLERATED_SECONDS


def renew_leases(session: Session, *, leapt: bool) -> int:
    """Restart leases whose ends are wrong: all of them after a leap, else those that end too late.

    Return their number. In a transaction of its own, for it locks replicates before any study.
    """
    lasts = func.coalesce(Replicate.lease_seconds, settings().lease_seconds)
    wrong = true() if leapt else Replicate.lease_expires_at > from_now(lasts + TOLERATED_SECONDS)
    held = select(Replicate.trial_id, Replicate.number).where(Replicate.state == TrialState.RUNNING, wrong)
    # Locked replicates are being renewed or ended by another transaction.
    free = held.with_for_update(skip_locked=True)
    changed = session.execute(
        update(Replicate)
        .where(tuple_(Replicate.trial_id, Replicate.number).in_(free))
        .values(lease_expires_at=from_now(lasts))
        .returning(Replicate.trial_id)
    ).all()
    if changed:
        log.warning("the database's clock was set; running leases begin anew", leases=len(changed))
    return len(changed)
