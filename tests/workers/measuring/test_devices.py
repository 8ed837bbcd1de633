"""A worker that was started for a GPU trains on a GPU or not at all, and whoever looks is told."""

import pytest
import torch
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from api_schemas.trials import TrialState
from service.api.app import create_app
from service.settings import settings
from service.storage.database import engine
from service.storage.models import Replicate
from service.trials import sweeper
from tests.service.trials.test_leases import stored_study
from tests.workers.conftest import SMALL
from workers import trial_worker
from workers.measuring.devices import missing_device, trial_device
from workers.saving.storage_watch import StorageWatch


@pytest.fixture(autouse=True)
def a_fresh_worker(service_environment: None, signal_handlers: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial_worker, "storage", StorageWatch())
    monkeypatch.delenv("PARETUNE_DATA_DIR")
    settings.cache_clear()


def meant(device: str, monkeypatch: pytest.MonkeyPatch, *, visible: bool = False) -> None:
    monkeypatch.setenv("PARETUNE_DEVICE", device)
    monkeypatch.setattr("torch.cuda.is_available", lambda: visible)
    settings.cache_clear()


def test_a_worker_for_a_gpu_takes_no_trial_without_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No attempt is lost, `/readyz` is degraded, the log says it once; with a device, work goes on."""
    stored_study(trials=1, configuration=SMALL)
    meant("cuda", monkeypatch)
    for _ in range(2):
        trial_worker.run_next_trial()
    with Session(engine()) as session:
        waiting = session.scalars(select(Replicate)).one()
        assert (waiting.state, waiting.attempt) == (TrialState.QUEUED, 0)
    sweeper.sweep_once()
    answer = TestClient(create_app()).get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert capsys.readouterr().out.count("started for a GPU") == 1
    meant("cpu", monkeypatch)
    trial_worker.run_next_trial()
    with Session(engine()) as session:
        ended = session.scalars(select(Replicate)).one()
        assert ended.state is TrialState.SUCCEEDED
        assert ended.provenance["device"] == "cpu"
    assert TestClient(create_app()).get("/readyz").json() == {"status": "ready"}


@pytest.mark.parametrize(("build", "cure"), [(None, "TORCH_INDEX"), ("13.0", "CUDA_VISIBLE_DEVICES")])
def test_the_cause_is_told(build: str | None, cure: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A build without CUDA, or a device that is not seen."""
    meant("cuda", monkeypatch)
    monkeypatch.setattr("torch.version.cuda", build)
    assert cure in (missing_device() or "")


@pytest.mark.parametrize(
    ("device", "visible", "chosen"),
    [("", False, "cpu"), ("", True, "cuda"), ("cpu", True, "cpu"), ("cuda", True, "cuda")],
)
def test_the_device_is_the_one_that_was_meant(
    device: str, visible: bool, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a word, the GPU if there is one; a CPU worker leaves a GPU alone."""
    meant(device, monkeypatch, visible=visible)
    assert missing_device() is None
    assert trial_device() == torch.device(chosen)
