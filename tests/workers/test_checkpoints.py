"""A cancelled trial keeps what it had trained: real workers, leases and signals, a real small model."""

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from api_schemas.trials import ArtifactRecord
from service.api.app import create_app
from service.artifacts.artifact_store import ArtifactStore, ArtifactStoreAway
from service.settings import settings
from service.studies import steering
from service.trials import leases, sweeper
from tests.conftest import API_KEY
from tests.service.trials.test_leases import expire_all_leases, set_state, stored_study
from tests.workers.conftest import SMALL
from workers import trial_worker
from workers.saving.artifacts import load_classifier


@pytest.fixture(autouse=True)
def quick_heartbeats(
    service_environment: None, signal_handlers: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a long lease."""
    monkeypatch.setattr(trial_worker, "HEARTBEATS_PER_LEASE", 300)
    # What is resident is kept for each data directory: with none, the tests share one backbone.
    monkeypatch.delenv("PARETUNE_DATA_DIR")
    settings.cache_clear()


def run_and_cancel(monkeypatch: pytest.MonkeyPatch, study_id: str) -> None:
    """Run what waits, and cancel its study at the first measurement."""

    def cancel(*_: object) -> bool:
        set_state(study_id, steering.cancel)
        # The next heartbeat hears of it; its signal breaks in here.
        threading.Event().wait(60)
        pytest.fail("was not stopped")

    monkeypatch.setattr(trial_worker, "_report", cancel)
    trial_worker.run_next_trial()


def client() -> TestClient:
    return TestClient(create_app(), headers={"Authorization": f"Bearer {API_KEY}"})


def test_a_cancelled_trial_keeps_a_checkpoint(
    any_store: ArtifactStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Listed, marked, downloadable and loadable; trial and study are CANCELLED all the same."""
    study_id = stored_study(trials=1, configuration=SMALL)
    run_and_cancel(monkeypatch, study_id)
    http = client()
    study = f"/v1/studies/{study_id}"
    assert http.get(study).json()["state"] == "CANCELLED"
    (trial,) = http.get(f"{study}/trials").json()["trials"]
    assert (trial["state"], trial["metrics"], trial["on_front"]) == ("CANCELLED", {}, False)
    # The first of two epochs of four steps was over.
    marks = {(item["kind"], item["attempt"], item["step"]) for item in trial["artifacts"]}
    assert marks == {("checkpoint", 1, 4)}
    for item in trial["artifacts"]:
        content = http.get(f"{study}/trials/{trial['id']}/artifacts/{item['name']}").content
        assert hashlib.sha256(content).hexdigest() == item["sha256"]
        (tmp_path / item["name"]).write_bytes(content)
    assert len(load_classifier(tmp_path).predict(["a film full of wit"])) == 1
    assert http.delete(study).status_code == 204
    assert any_store.files("") == []


def test_every_trial_of_a_pack_keeps_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """They were trained together, and stop together."""
    monkeypatch.setenv("PARETUNE_TRIALS_PER_PACK", "2")
    settings.cache_clear()
    study_id = stored_study(trials=2, parallelism=2, configuration=SMALL)
    run_and_cancel(monkeypatch, study_id)
    trials = client().get(f"/v1/studies/{study_id}/trials").json()["trials"]
    assert [trial["state"] for trial in trials] == ["CANCELLED"] * 2
    assert [{item["step"] for item in trial["artifacts"]} for trial in trials] == [{4}] * 2


def give_up_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    in_time = leases.give_up

    def late(trial_id: str, attempt: int, *, checkpoint: list[ArtifactRecord]) -> None:
        expire_all_leases()
        sweeper.sweep_once()
        in_time(trial_id, attempt, checkpoint=checkpoint)

    monkeypatch.setattr(leases, "give_up", late)


def lose_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> None:
        raise ArtifactStoreAway("not now")

    monkeypatch.setattr(ArtifactStore, "new_folder", away)


@pytest.mark.parametrize("fault", [give_up_too_late, lose_the_store])
def test_a_study_does_not_wait_for_a_checkpoint(
    monkeypatch: pytest.MonkeyPatch, fault: Callable[[pytest.MonkeyPatch], None]
) -> None:
    """The lease bounds it, and a store that is away ends it: CANCELLED, without a file."""
    fault(monkeypatch)
    study_id = stored_study(trials=1, configuration=SMALL)
    run_and_cancel(monkeypatch, study_id)
    http = client()
    assert http.get(f"/v1/studies/{study_id}").json()["state"] == "CANCELLED"
    (trial,) = http.get(f"/v1/studies/{study_id}/trials").json()["trials"]
    assert (trial["state"], trial["artifacts"]) == ("CANCELLED", [])
