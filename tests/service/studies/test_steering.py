"""A study goes on only with the rows that it began with."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.trials import leases
from tests.service.trials.test_leases import REPORT, stored_study

CSV = "text,label\n" + "".join(f"text {n},{n % 2}\n" for n in range(80))
OTHER_CSV = CSV.replace("text 0", "text zero")
BASE = {"backbone": "all-MiniLM-L6-v2", "task": {"name": "file:a.csv"}}

Call = Callable[..., Any]


@pytest.fixture
def put(client: TestClient) -> Call:
    def upload(content: str) -> None:
        assert client.put("/v1/task_files/a.csv", content=content).status_code == 200

    return upload


@pytest.fixture
def ended(client: TestClient, put: Call) -> str:
    """A study on an upload that has spent its budget of one trial."""
    put(CSV)
    study_id = stored_study(trials=1, configuration=BASE)
    claimed = leases.claim("w")
    assert claimed is not None
    leases.complete(claimed.trial_id, claimed.attempt, REPORT)
    assert client.get(f"/v1/studies/{study_id}").json()["state"] == "SUCCEEDED"
    return study_id


def extend(client: TestClient, study_id: str) -> Any:
    return client.post(f"/v1/studies/{study_id}:extend", json={"trials": 1})


def test_a_study_whose_upload_was_replaced_is_not_extended(client: TestClient, ended: str, put: Call) -> None:
    """409 before a trial is spent; with its own rows back, it goes on."""
    put(OTHER_CSV)
    refused = extend(client, ended)
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/task-file-changed")
    assert "'a.csv' has other content" in refused.json()["detail"]
    assert client.get(f"/v1/studies/{ended}").json()["budget"]["trials"] == 1
    put(CSV)
    assert extend(client, ended).json()["state"] == "ACTIVE"


def test_a_study_whose_upload_was_deleted_is_not_extended(client: TestClient, ended: str) -> None:
    """409 that says that there is nothing to train on."""
    assert client.delete("/v1/task_files/a.csv").status_code == 204
    assert "'a.csv' is gone" in extend(client, ended).json()["detail"]


def test_a_paused_study_whose_file_changed_is_not_resumed(client: TestClient, tmp_path: Path) -> None:
    """Nobody protects the files of the folder that the operator gives a server."""
    (tmp_path / "data").mkdir(exist_ok=True)
    (tmp_path / "data" / "a.csv").write_text(CSV)
    study_id = stored_study(trials=1, configuration=BASE)
    client.post(f"/v1/studies/{study_id}:pause")
    (tmp_path / "data" / "a.csv").write_text(OTHER_CSV)
    assert client.post(f"/v1/studies/{study_id}:resume").status_code == 409
    assert client.get(f"/v1/studies/{study_id}").json()["state"] == "PAUSED"
    (tmp_path / "data" / "a.csv").write_text(CSV)
    assert client.post(f"/v1/studies/{study_id}:resume").json()["state"] == "ACTIVE"
