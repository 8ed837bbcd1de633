"""The database's clock is set while leases run: forward, back, with the reaper awake and asleep."""

from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, text

from api_schemas.trials import TrialState
from service.settings import settings
from service.storage import database
from service.storage.database import transaction
from service.storage.models import Replicate, Study
from service.trials import clock_steps, leases, sweeper
from service.trials.clock_steps import Look, WatchedClock, leaps_between
from tests.service.trials.test_leases import REPORT, stored_study

pytestmark = pytest.mark.usefixtures("service_environment")

STEP = 600.0


@pytest.fixture
def set_clock(
    service_environment: None, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> Callable[[float], None]:
    """Move the clock of the test's database, which finds its `clock_timestamp()` before Postgres's own."""
    monkeypatch.setattr(sweeper, "database_clock", WatchedClock())
    with transaction() as session:
        session.execute(text("CREATE SCHEMA shifted"))
        session.execute(text("CREATE TABLE shifted.ahead AS SELECT interval '0 s' AS by"))
        session.execute(
            text(
                "CREATE FUNCTION shifted.clock_timestamp() RETURNS timestamptz VOLATILE LANGUAGE sql AS "
                "'SELECT pg_catalog.clock_timestamp() + by FROM shifted.ahead'"
            )
        )
        name = session.scalar(text("SELECT current_database()"))
        session.execute(text(f"ALTER DATABASE {name} SET search_path = shifted, pg_catalog, public"))
    database.engine().dispose()

    def move(seconds: float) -> None:
        with transaction() as session:
            session.execute(
                text("UPDATE shifted.ahead SET by = by + make_interval(secs => :s)"), {"s": seconds}
            )

    return move


def seconds_left() -> float:
    with transaction() as session:
        left = text("SELECT extract(epoch FROM lease_expires_at - clock_timestamp()) FROM replicates")
        return float(session.execute(left).scalar_one())


def state() -> TrialState:
    with transaction() as session:
        return session.scalars(select(Replicate.state)).one()


def test_a_dead_workers_trial_is_free_one_lease_after_the_clock_went_back(
    set_clock: Callable[[float], None],
) -> None:
    """Not one lease and ten minutes; this needs no process that saw the step."""
    stored_study(trials=1)
    assert leases.claim("dies") is not None
    set_clock(-STEP)
    assert seconds_left() > STEP
    sweeper.sweep_once()
    assert 0 < seconds_left() <= settings().lease_seconds
    set_clock(settings().lease_seconds + 1)
    sweeper.database_clock.last = None  # so that this counts as time that has passed
    sweeper.sweep_once()
    assert state() is TrialState.QUEUED
    assert leases.claim("another") is not None


def test_a_living_worker_keeps_its_trial_when_the_clock_goes_forward(
    set_clock: Callable[[float], None],
) -> None:
    """A reaper that watched the clock does not take the step for silence."""
    stored_study(trials=1)
    claimed = leases.claim("lives")
    assert claimed is not None
    sweeper.sweep_once()
    set_clock(STEP)
    assert seconds_left() < 0
    sweeper.sweep_once()
    assert 0 < seconds_left() <= settings().lease_seconds
    leases.complete(claimed.trial_id, claimed.attempt, REPORT)


def test_a_lease_of_another_length_keeps_it(set_clock: Callable[[float], None]) -> None:
    """What was granted for a day is neither suspect nor cut to the usual length."""
    stored_study(trials=1)
    assert leases.claim("slow") is not None
    with transaction() as session:
        session.execute(
            text(
                "UPDATE replicates SET lease_seconds = 86400, "
                "lease_expires_at = clock_timestamp() + interval '1 day'"
            )
        )
    sweeper.sweep_once()
    assert 86_000 < seconds_left() <= 86_400
    set_clock(-STEP)
    sweeper.sweep_once()
    assert 86_000 < seconds_left() <= 86_400


def test_a_lease_granted_by_the_version_before_has_the_usual_length(
    set_clock: Callable[[float], None],
) -> None:
    """It wrote no length."""
    stored_study(trials=1)
    assert leases.claim("old") is not None
    with transaction() as session:
        session.execute(text("UPDATE replicates SET lease_seconds = NULL"))
    set_clock(-STEP)
    sweeper.sweep_once()
    assert 0 < seconds_left() <= settings().lease_seconds


def test_a_silent_study_is_woken_although_its_last_wake_up_lies_ahead(
    set_clock: Callable[[float], None],
) -> None:
    """Or messages lost at the wrong moment would be missed for as long as the clock went back."""
    study_id = stored_study(trials=1)
    set_clock(-STEP)
    before = woken_at(study_id)
    sweeper.sweep_once()
    assert woken_at(study_id) < before


def woken_at(study_id: str) -> float:
    with transaction() as session:
        return session.get_one(Study, study_id).woken_at.timestamp()


def test_not_ready_when_the_last_sweep_lies_ahead(
    set_clock: Callable[[float], None], client: TestClient
) -> None:
    """A clock that went back must not make a dead reaper look alive."""
    sweeper.sweep_once()
    set_clock(-STEP)
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert "clock went back" in answer.json()["errors"][0]["detail"]
    sweeper.sweep_once()
    assert client.get("/readyz").status_code == 200


@pytest.mark.parametrize(
    ("seconds", "leaps"),
    [(-600.0, False), (10.0, False), (13.0, False), (16.0, True), (600.0, True)],
)
def test_a_leap_is_what_no_time_explains(seconds: float, leaps: bool) -> None:
    """Looks ten seconds apart; slow answers are no leap, for the time lies somewhere within them."""
    first = Look(database_seconds=1000.0, before=50.0, after=51.0)
    second = Look(database_seconds=1000.0 + seconds, before=61.0, after=63.0)
    assert leaps_between(first, second) is leaps


def test_a_step_back_is_seen_without_a_word_from_anybody(set_clock: Callable[[float], None]) -> None:
    """Nothing is renewed while the clock stands right."""
    stored_study(trials=1)
    assert leases.claim("w") is not None
    with transaction() as session:
        assert clock_steps.renew_leases(session, leapt=False) == 0
    set_clock(-STEP)
    with transaction() as session:
        assert clock_steps.renew_leases(session, leapt=False) == 1
