"""What the sweeper takes back, beside others who write at the same time, on a real Postgres."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from service.storage import queries
from service.storage.database import transaction
from service.trials import leases, sweeper
from tests.service.trials.test_leases import REPORT, expire_all_leases, stored_study

pytestmark = pytest.mark.usefixtures("service_environment")


def is_waiting() -> bool:
    # In a transaction of its own: within one, the view stands still.
    with transaction() as session:
        query = text("SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        return bool(session.scalar(query))


def test_a_lease_renewed_while_the_reaper_waited_is_left_alone() -> None:
    """It was over when the reaper looked, and is not when the reaper has the study's lock."""
    study_id = stored_study(trials=1)
    claimed = leases.claim("late")
    assert claimed is not None
    expire_all_leases()
    with ThreadPoolExecutor(1) as thread:
        with transaction() as session:
            queries.lock_study(session, study_id)
            sweeping = thread.submit(sweeper.sweep_once)
            while not is_waiting() and not sweeping.done():
                time.sleep(0.01)
            assert leases.heartbeat(claimed.trial_id, claimed.attempt) is False
        sweeping.result(timeout=20)
    assert leases.heartbeat(claimed.trial_id, claimed.attempt) is False
    leases.complete(claimed.trial_id, claimed.attempt, REPORT)
