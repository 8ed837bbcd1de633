"""What may happen to a study after its end: it goes on with more budget, or it is deleted."""

from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from api_schemas.log_tail import LastLines
from api_schemas.trials import ArtifactRecord, Measurement, TrialReport, TrialState
from service.errors import StaleAttempt
from service.settings import settings
from service.storage import queries
from service.storage.base_table import Base
from service.storage.database import transaction
from service.storage.models import Study, Trial
from service.trials import leases, lifecycle
from service.trials.beliefs import record_belief
from service.trials.slices import record_slices
from tests.conftest import OTHER_KEY, study_body
from tests.service.access.test_limits import limit
from tests.service.api.read_models.test_slices import ALONG
from tests.service.trials.test_beliefs import belief
from tests.service.trials.test_leases import REPORT, stored_study

FRONTS = ("pareto_fronts", "believed_fronts", "slices")
OF_A_STUDY = (
    "studies",
    "trials",
    "replicates",
    "measurements",
    "attempt_logs",
    *FRONTS,
    "events",
    "artifacts",
)


def test_the_tables_of_a_study_are_all_looked_at() -> None:
    """Whatever refers to a study or a trial is one of them."""
    referring = {
        table.name
        for table in Base.metadata.sorted_tables
        if {key.column.table.name for key in table.foreign_keys} & {"studies", "trials"}
    }
    assert referring | {"studies"} == set(OF_A_STUDY)


def finished_study() -> tuple[str, str, Path]:
    """A study of one trial that left a file; its id, the trial's id and the file."""
    study_id = stored_study(trials=1)
    claimed = leases.claim("w")
    assert claimed is not None
    assert claimed.artifacts_path is not None
    file = Path(settings().artifacts_url) / claimed.artifacts_path / "peft.safetensors"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"weights")
    path = str(file.relative_to(settings().artifacts_url))
    record = ArtifactRecord(name=file.name, path=path, sha256="0" * 64, size_bytes=7)
    leases.record_measurement(claimed.trial_id, 1, Measurement(step=1, metrics={"score": 0.5}))
    leases.store_log(claimed.trial_id, 1, LastLines("step 1", 0))
    leases.complete(claimed.trial_id, 1, REPORT.model_copy(update={"artifacts": (record,)}))
    with transaction() as session:
        study = session.get_one(Study, study_id, with_for_update=True)
        record_belief(session, study, belief(1, "b"))
        record_slices(session, study, [ALONG], observations=20)
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


def test_an_extension_needs_room_for_an_active_study(client: TestClient) -> None:
    """409 while the tenant has as many as it may; the budget stays, and grows once there is room."""
    study = f"/v1/studies/{finished_study()[0]}"
    limit({"active_studies": 1})
    other = client.post("/v1/studies", json=study_body()).headers["location"]
    refused = client.post(f"{study}:extend", json={"trials": 1})
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/limit-reached")
    assert client.get(study).json()["budget"] == {"trials": 1}
    assert client.post(f"{other}:extend", json={"trials": 1}).status_code == 200
    client.post(f"{other}:cancel")
    assert client.post(f"{study}:extend", json={"trials": 1}).json()["state"] == "ACTIVE"


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


def test_a_deletion_is_accounted_for(client: TestClient) -> None:
    """The audit events say which study, though it is gone."""
    study_id, _, _ = finished_study()
    client.delete(f"/v1/studies/{study_id}")
    event = client.get("/v1/audit_events").json()["audit_events"][0]
    assert (event["type"], event["subject"]) == ("study.deleted", study_id)
    assert event["key_id"] is not None


def test_files_of_a_reused_result_stay_until_nobody_names_them(client: TestClient) -> None:
    """Whichever of the two studies is deleted first; other files of the folder go with their study."""
    for first in (0, 1):
        source, trial_id, file = finished_study()
        leftover = file.with_name("training.log")
        leftover.write_text("x")
        reusing = stored_study(trials=1)
        with transaction() as session:
            study = session.get_one(Study, reusing)
            (trial,) = queries.list_trials(session, reusing)
            known = session.get_one(Trial, trial_id)
            results = queries.replicates_of(session, [trial_id])[trial_id]
            lifecycle.reuse_result(session, study, trial, source=known, results=results)
        pair = (source, reusing) if first == 0 else (reusing, source)
        assert client.delete(f"/v1/studies/{pair[0]}").status_code == 204
        assert (file.is_file(), leftover.is_file()) == (True, first == 1)
        if first == 0:
            url = f"/v1/studies/{reusing}/trials/{trial.id}/artifacts/{file.name}"
            assert client.get(url).content == b"weights"
        assert client.delete(f"/v1/studies/{pair[1]}").status_code == 204
        assert not (Path(settings().artifacts_url) / source).exists()
