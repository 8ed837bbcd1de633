"""A full disk costs no attempt: trials wait, the operator is told, and work goes on once there is room."""

import shutil
from types import SimpleNamespace

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from api_schemas.trials import TrialState
from service.api.app import create_app
from service.artifacts.artifact_store import artifact_store
from service.settings import settings
from service.storage.database import engine
from service.storage.models import Replicate
from service.trials import sweeper
from tests.service.trials.test_leases import stored_study
from tests.workers.conftest import SMALL
from workers import trial_worker
from workers.errors import DiskFull
from workers.saving.disk_space import RESERVE_BYTES, require_disk_space
from workers.saving.storage_watch import StorageWatch


@pytest.fixture(autouse=True)
def a_fresh_worker(service_environment: None, signal_handlers: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial_worker, "storage", StorageWatch())
    # What is resident is kept for each data directory: with none, the tests share one backbone.
    monkeypatch.delenv("PARETUNE_DATA_DIR")
    settings.cache_clear()


def disk_with(monkeypatch: pytest.MonkeyPatch, *, free: int) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(total=free, used=0, free=free))


def the_replicate() -> Replicate:
    with Session(engine()) as session:
        return session.scalars(select(Replicate)).one()


def readiness() -> dict[str, str]:
    sweeper.sweep_once()
    answer: dict[str, str] = TestClient(create_app()).get("/readyz").json()
    return answer


def test_room_is_needed_for_both_formats_and_a_reserve(monkeypatch: pytest.MonkeyPatch) -> None:
    """To the byte; what saves nothing needs none."""
    needed = 2 * 1000 + RESERVE_BYTES
    disk_with(monkeypatch, free=needed)
    require_disk_space(1000, store=artifact_store())
    disk_with(monkeypatch, free=needed - 1)
    require_disk_space(0, store=artifact_store())
    with pytest.raises(DiskFull, match=f"{needed - 1:,} bytes free.*takes {needed:,}.*Free space") as error:
        require_disk_space(1000, store=artifact_store())
    assert error.value.needed_bytes == needed


def test_a_full_disk_costs_no_attempt(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The trial is given back with the reason, once; then nothing is claimed until there is room."""
    stored_study(trials=1, configuration=SMALL)
    with monkeypatch.context() as full:
        disk_with(full, free=10**6)
        for _ in range(3):
            trial_worker.run_next_trial()
        waiting = the_replicate()
        assert (waiting.state, waiting.attempt, waiting.lost_attempts) == (TrialState.QUEUED, 1, 0)
        assert "1,000,000 bytes free" in (waiting.state_reason or "")
        assert "delete studies that are no longer needed" in (waiting.state_reason or "")
        found = readiness()
        assert (found["status"], "1 host(s) take no trials" in found["detail"]) == ("degraded", True)
        assert "paretune_degraded_hosts 1.0" in TestClient(
            create_app(), client=("127.0.0.1", 1)
        ).get("/metrics").text  # fmt: skip
    assert capsys.readouterr().out.count("taking no trials") == 1
    trial_worker.run_next_trial()
    trained = the_replicate()
    assert (trained.state, trained.attempt, trained.lost_attempts) == (TrialState.SUCCEEDED, 2, 0)
    assert readiness() == {"status": "ready"}


def test_a_store_that_is_away_costs_no_attempt(
    s3_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    """Nothing is claimed; the reason is the store's."""
    stored_study(trials=1, configuration=SMALL)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("PARETUNE_ARTIFACTS_URL", "s3://unreachable-by-workers/x")
    settings.cache_clear()
    trial_worker.run_next_trial()
    assert (the_replicate().state, the_replicate().attempt) == (TrialState.QUEUED, 0)
