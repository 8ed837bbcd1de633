"""The trial worker with packs switched on: real leases on a real Postgres, real trials on MiniLM."""

from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from api_schemas.trials import ClaimedTrial, Measurement, TrialReport, TrialState
from service.errors import StaleAttempt
from service.settings import settings
from service.storage.database import engine
from service.storage.models import Replicate
from service.trials import leases
from tests.service.trials.test_leases import stored_study
from tests.workers.conftest import SMALL
from workers import trial_worker
from workers.attempt_log import PackLog
from workers.packing import run as packing_run


@pytest.fixture(autouse=True)
def packs_of_three(service_environment: None, signal_handlers: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARETUNE_TRIALS_PER_PACK", "3")
    # What is resident is kept for each data directory: with none, the tests share one backbone.
    monkeypatch.delenv("PARETUNE_DATA_DIR")
    settings.cache_clear()


def replicates() -> list[Replicate]:
    with Session(engine()) as session:
        return list(session.scalars(select(Replicate).order_by(Replicate.trial_id)))


@pytest.fixture
def one_after_the_other(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Memory for a pass of one trial of `SMALL`, and not of two, as long as nothing was learned of packs."""
    monkeypatch.setenv("PARETUNE_TRIAL_MEMORY_BYTES", "8000000")
    monkeypatch.setenv("PARETUNE_DATA_DIR", str(tmp_path))
    settings.cache_clear()


@pytest.mark.usefixtures("one_after_the_other")
def test_what_stops_a_later_trial_costs_no_result_of_an_earlier_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each result is stored when it is there; only what has not ended goes to another worker."""
    stored_study(trials=3, parallelism=3, configuration=SMALL)
    report = trial_worker._report
    measured: set[str] = set()

    def lose_the_second(claimed: ClaimedTrial, said: PackLog, measurement: Measurement) -> bool:
        measured.add(claimed.trial_id)
        if len(measured) == 2:
            leases.release(claimed.trial_id, claimed.attempt)
        return report(claimed, said, measurement)

    monkeypatch.setattr(trial_worker, "_report", lose_the_second)
    trial_worker.run_next_trial()
    states = [replicate.state for replicate in replicates()]
    assert states == [TrialState.SUCCEEDED, TrialState.QUEUED, TrialState.QUEUED]


@pytest.mark.usefixtures("one_after_the_other")
def test_heartbeats_go_on_for_those_that_have_not_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """A trial of the same claim that has its result is over, and not lost."""
    monkeypatch.setenv("PARETUNE_LEASE_SECONDS", "0.1")
    settings.cache_clear()
    stored_study(trials=3, parallelism=3, configuration=SMALL)
    trial_worker.run_next_trial()
    found = replicates()
    assert [replicate.state for replicate in found] == [TrialState.SUCCEEDED] * 3
    assert not any("packed_with" in replicate.provenance for replicate in found)


def test_what_stops_one_trial_of_a_pack_gives_back_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lost lease costs the trial that lost it; the others wait for another worker."""
    stored_study(trials=3, parallelism=3, configuration=SMALL)

    def lost(*_: object) -> bool:
        raise StaleAttempt("taken over")

    monkeypatch.setattr(trial_worker, "_report", lost)
    trial_worker.run_next_trial()
    assert [replicate.state for replicate in replicates()] == [TrialState.QUEUED] * 3


def test_a_pack_that_fails_is_run_trial_by_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of ours in one of them must not cost the others an attempt."""
    stored_study(trials=2, parallelism=2, configuration=SMALL)

    def faulty(*_: object) -> list[TrialReport]:
        raise ValueError("a fault of ours")

    monkeypatch.setattr(packing_run, "_run_pack", faulty)
    trial_worker.run_next_trial()
    found = replicates()
    assert [replicate.state for replicate in found] == [TrialState.SUCCEEDED] * 2
    assert not any("packed_with" in replicate.provenance for replicate in found)


def test_a_worker_trains_what_waits_together() -> None:
    """One wake-up, three trials; each is measured and ends for itself."""
    stored_study(trials=4, parallelism=4, configuration=SMALL)
    trial_worker.run_next_trial()
    states = [replicate.state for replicate in replicates()]
    assert states == [TrialState.SUCCEEDED] * 3 + [TrialState.QUEUED]
    assert [replicate.provenance.get("packed_with") for replicate in replicates()] == [3, 3, 3, None]
