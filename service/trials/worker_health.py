"""Workers that are alive but take no trials: each host records why while trials wait. Knows no disk."""

from datetime import timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from service.settings import settings
from service.storage.database import transaction
from service.storage.models import DegradedWorker
from service.trials.leases import retry_while_database_is_away

REPORTS_MISSED = 12
"""A report that was not repeated for this many wake-ups is out of date."""


@retry_while_database_is_away
def report_degraded(host: str, *, reason: str) -> None:
    """Record why a host's workers take no trials; to be repeated at each wake-up."""
    row = insert(DegradedWorker).values(host=host, reason=reason, reported_at=func.clock_timestamp())
    with transaction() as session:
        session.execute(
            row.on_conflict_do_update(
                index_elements=[DegradedWorker.host],
                set_={"reason": row.excluded.reason, "reported_at": row.excluded.reported_at},
            )
        )


@retry_while_database_is_away
def report_well(host: str) -> None:
    """Delete the report of a host."""
    with transaction() as session:
        session.execute(delete(DegradedWorker).where(DegradedWorker.host == host))


def degraded_hosts(session: Session) -> int:
    """Count the hosts whose workers cannot take trials at the moment."""
    valid_for = timedelta(seconds=REPORTS_MISSED * settings().wake_up_seconds)
    now = func.clock_timestamp()
    # A time far in the future is from before the clock was set back.
    valid = DegradedWorker.reported_at.between(now - valid_for, now + valid_for)
    return session.scalars(select(func.count()).select_from(DegradedWorker).where(valid)).one()
