"""What may happen to a study after its end: it goes on with more budget, or it is deleted."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from api_schemas.trials import ArtifactRecord, Measurement, TrialReport, TrialState
from service import leases
from service.app import create_app
from service.errors import StaleAttempt
from service.models import Base
from service.settings import settings
from tests.conftest import API_KEY, OTHER_KEY, study_body
from tests.service.test_leases import REPORT, stored_study

OF_A_STUDY = ("studies", "trials", "replicates", "measurements", "pareto_fronts", "events", "artifacts")


@pytest.fixture
def client(service_environment: None) -> Iterator[TestClient]:
    with TestClient(create_app(), headers={"Authorization": f"Bearer {API_KEY}"}) as opened:
        yield opened


def finished_study() -> tuple[str, str, Path]:
    """A study of one trial that left a file; its id, the trial's id and the file."""
    study_id = stored_study(trials=1)
    claimed = leases.claim("w")
    assert claimed is not None
    assert claimed.artifacts_path is not None
    file = settings().artifacts_dir / claimed.artifacts_path / "peft.safetensors"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"weights")
    path = str(file.relative_to(settings().artifacts_dir))
    record = ArtifactRecord(name=file.name, path=path, sha256="0" * 64, size_bytes=7)
    leases.record_measurement(claimed.trial_id, 1, Measurement(step=1, metrics={"score": 0.5}))
    leases.complete(claimed.trial_id, 1, REPORT.model_copy(update={"artifacts": (record,)}))
    return study_id, claimed.trial_id, file


def rows(session: Session) -> dict[str, int]:
    tables = Base.metadata.tables
    return {
        name: session.execute(select(func.count()).select_from(tables[name])).scalar_one()
        for name in OF_A_STUDY
    }


@pytest.mark.parametrize("trials", [0, -1, 100_000, 1.5])
def test_an_extension_beyond_reason_is_refused(client: TestClient, trials: float) -> None:
    """422, and the budget is what it was."""
    study = f"/v1/studies/{stored_study(trials=1)}"
    refused = client.post(f"{study}:extend", json={"trials": trials})
    assert refused.status_code == 422
    assert [item["pointer"] for item in refused.json()["errors"]] == ["/trials"]
    assert client.get(study).json()["budget"] == {"trials": 1}


def test_a_cancelled_study_is_not_extended(client: TestClient) -> None:
    """409 that says what to do instead."""
    study = f"/v1/studies/{stored_study(trials=1)}"
    client.post(f"{study}:cancel")
    refused = client.post(f"{study}:extend", json={"trials": 1})
    assert refused.status_code == 409
    assert "clone it" in refused.json()["detail"]


def test_a_failed_study_is_not_extended(client: TestClient) -> None:
    """More trials would fail as its first ones did."""
    study = f"/v1/studies/{stored_study(trials=1)}"
    for _ in range(settings().max_attempts):
        claimed = leases.claim("w")
        assert claimed is not None
        leases.complete(claimed.trial_id, claimed.attempt, TrialReport(state=TrialState.FAILED))
    assert client.get(study).json()["state"] == "FAILED"
    assert client.post(f"{study}:extend", json={"trials": 1}).status_code == 409


def test_a_paused_study_stays_paused_when_extended(client: TestClient) -> None:
    """Its budget grows; resuming it is another decision."""
    study = f"/v1/studies/{stored_study(trials=1)}"
    client.post(f"{study}:pause")
    extended = client.post(f"{study}:extend", json={"trials": 2}).json()
    assert (extended["state"], extended["budget"]["trials"]) == ("PAUSED", 3)


def test_a_study_that_succeeded_goes_on_when_extended(client: TestClient) -> None:
    """It is active until the new budget is spent; merely resuming it is refused with the cure."""
    study_id, _, _ = finished_study()
    study = f"/v1/studies/{study_id}"
    refused = client.post(f"{study}:resume")
    assert (refused.status_code, "Extend it" in refused.json()["detail"]) == (409, True)
    extended = client.post(f"{study}:extend", json={"trials": 1}).json()
    assert (extended["state"], extended["finished_at"], extended["budget"]["trials"]) == ("ACTIVE", None, 2)
    assert extended["hypervolume"] is not None


@pytest.mark.parametrize("verb", [None, "pause"])
def test_a_study_that_may_still_change_is_not_deleted(client: TestClient, verb: str | None) -> None:
    """409 that says to cancel it first."""
    study = f"/v1/studies/{stored_study(trials=1)}"
    if verb is not None:
        client.post(f"{study}:{verb}")
    refused = client.delete(study)
    assert refused.status_code == 409
    assert "cancel it" in refused.json()["detail"]


def test_anothers_study_is_not_deleted(client: TestClient) -> None:
    """404, and it is still there."""
    study = f"/v1/studies/{finished_study()[0]}"
    assert client.delete(study, headers={"Authorization": f"Bearer {OTHER_KEY}"}).status_code == 404
    assert client.get(study).status_code == 200


def test_a_deleted_study_leaves_nothing(client: TestClient, session: Session) -> None:
    """No row and no file, while other studies keep theirs; a worker that comes late is told so."""
    kept = client.post("/v1/studies", json=study_body()).json()["id"]
    before = rows(session)
    study_id, trial_id, file = finished_study()
    assert file.is_file()
    assert all(count > before[name] for name, count in rows(session).items())
    deleted = client.delete(f"/v1/studies/{study_id}")
    assert (deleted.status_code, deleted.content) == (204, b"")
    session.rollback()
    assert rows(session) == before
    assert not file.parents[2].exists()
    assert client.delete(f"/v1/studies/{study_id}").status_code == 404
    assert [study["id"] for study in client.get("/v1/studies").json()["studies"]] == [kept]
    for late in (lambda: leases.heartbeat(trial_id, 1), lambda: leases.complete(trial_id, 1, REPORT)):
        with pytest.raises(StaleAttempt):
            late()
