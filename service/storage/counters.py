"""Sums over the life of a deployment, kept in Postgres because many processes add to them.

A sum is spread over rows, one for each of `PARTS` groups of connections, so that two transactions
rarely wait for each other. A transaction that locks several studies adds to one name only, or two
of them could deadlock.
"""

from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from service.storage.models import Counter, Replicate

PARTS = 64


class CounterName(StrEnum):
    """What is added up."""

    PROPOSALS = "proposals"
    PROPOSAL_SECONDS = "proposal_seconds"
    TRIAL_SECONDS = "trial_seconds"
    """From the lease to the report, of every attempt that reported."""
    LEASE_EXPIRIES = "lease_expiries"
    TURN_FAILURES = "turn_failures"
    PARKED_STUDIES = "parked_studies"


def count(session: Session, name: CounterName, amount: float | ColumnElement[Any] = 1.0) -> None:
    """Add to a sum, in the transaction of what is counted."""
    row = insert(Counter).values(name=name, part=func.pg_backend_pid() % PARTS, value=amount)
    session.execute(
        row.on_conflict_do_update(
            index_elements=[Counter.name, Counter.part], set_={"value": Counter.value + row.excluded.value}
        )
    )


def count_trial_seconds(session: Session, replicate: Replicate) -> None:
    """Add what a replicate's running attempt has taken up to now."""
    # Not negative even if the clock was set back: the sum only grows.
    taken = func.greatest(0, func.extract("epoch", func.clock_timestamp() - replicate.started_at))
    count(session, CounterName.TRIAL_SECONDS, taken)


def totals(session: Session) -> dict[CounterName, float]:
    """Read every sum."""
    rows = session.execute(select(Counter.name, func.sum(Counter.value)).group_by(Counter.name))
    return dict.fromkeys(CounterName, 0.0) | {CounterName(name): value for name, value in rows}
