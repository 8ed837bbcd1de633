"""What becomes of the rest when one of many rows cannot be changed, on a real Postgres."""

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from service.storage.counters import CounterName, count
from service.storage.database import transaction
from service.storage.models import Counter
from service.trials.one_by_one import do_each

pytestmark = pytest.mark.usefixtures("service_environment")

TERMINATE = text("SELECT pg_terminate_backend(pg_backend_pid())")


def counted() -> dict[str, float]:
    with transaction() as session:
        return {row.name: row.value for row in session.scalars(select(Counter))}


@pytest.mark.parametrize("broken", ["SELECT 1 / 0", "SELECT pg_advisory_xact_lock(1)"])
def test_a_row_that_breaks_keeps_nothing_and_stops_no_other(broken: str) -> None:
    """Neither by a mistake nor by a lock that does not come, which is no sign that the database is away."""

    def act(session: Session, name: CounterName) -> None:
        count(session, name)
        if name is CounterName.TURN_FAILURES:
            session.execute(text("SET LOCAL lock_timeout = '100ms'"))
            session.execute(text(broken))

    with transaction() as other:
        other.execute(text("SELECT pg_advisory_xact_lock(1)"))
        do_each([CounterName.PROPOSALS, CounterName.TURN_FAILURES, CounterName.LEASE_EXPIRIES], act)
    assert counted() == {CounterName.PROPOSALS: 1.0, CounterName.LEASE_EXPIRIES: 1.0}


def test_a_database_that_is_away_ends_it() -> None:
    """Whoever asked waits for the database, instead of trying every row."""
    tried: list[int] = []

    def act(session: Session, row: int) -> None:
        tried.append(row)
        session.execute(TERMINATE)

    with pytest.raises(OperationalError):
        do_each([1, 2], act)
    assert tried == [1]
