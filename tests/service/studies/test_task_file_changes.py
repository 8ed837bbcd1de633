"""Uploads beside limits, open studies and each other."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.access.tenants import get_tenant, set_limits
from service.api.routes import studies
from service.errors import LimitReached
from service.storage.database import transaction
from service.studies import task_file_changes
from tests.conftest import API_KEY, OTHER_KEY, Connect, study_body
from tests.service.conftest import bearer

CSV = "text,label\n" + "".join(f"text {n},{n % 2}\n" for n in range(80))
OTHER_CSV = CSV.replace("text 0", "text zero")


@pytest.fixture
def client(service_environment: None, connect: Connect) -> TestClient:
    return connect(headers=bearer(API_KEY), raise_server_exceptions=False)


@pytest.fixture
def folder(service_environment: None, tmp_path: Path) -> Path:
    with transaction() as session:
        return tmp_path / "data" / "uploads" / get_tenant(session, "default").id


def limit(artifact_bytes: int | None) -> None:
    with transaction() as session:
        set_limits(session, get_tenant(session, "default"), {"artifact_bytes": artifact_bytes})


def put(client: TestClient, name: str, content: Any = CSV) -> Any:
    return client.put(f"/v1/task_files/{name}", content=content)


def names(client: TestClient) -> list[str]:
    return [file["name"] for file in client.get("/v1/task_files").json()["task_files"]]


def study_on(client: TestClient, name: str) -> Any:
    task = {"name": f"file:{name}"}
    body = study_body(configuration={"backbone": "all-MiniLM-L6-v2", "task": task})
    return client.post("/v1/studies", json=body)


def test_uploads_count_in_the_tenants_bytes(client: TestClient, folder: Path) -> None:
    """409 that names the limit, with or without a declared length, and nothing is left on the disk."""
    limit(2 * len(CSV))
    assert put(client, "a.csv").status_code == 200
    assert put(client, "b.csv").status_code == 200
    for content in (CSV, iter([CSV.encode()])):
        refused = put(client, "c.csv", content)
        assert (refused.status_code, refused.json()["type"]) == (409, "/problems/limit-reached")
        assert "PARETUNE_TENANT_ARTIFACT_BYTES" in refused.json()["detail"]
    assert sorted(file.name for file in folder.iterdir()) == ["a.csv", "b.csv"]
    assert client.put("/v1/task_files/c.csv", content=CSV, headers=bearer(OTHER_KEY)).status_code == 200
    assert client.delete("/v1/task_files/a.csv").status_code == 204
    assert put(client, "c.csv").status_code == 200


def test_a_file_of_the_same_name_takes_its_place_in_the_limit(client: TestClient) -> None:
    """A new version of what fills the limit fits, as long as it is no larger."""
    limit(len(CSV))
    assert put(client, "a.csv").status_code == 200
    assert put(client, "a.csv", CSV.upper().replace("TEXT,LABEL", "text,label")).status_code == 200
    assert put(client, "a.csv", CSV + "x,0\n").status_code == 409


def test_a_tenant_whose_uploads_fill_its_limit_gets_no_study(client: TestClient) -> None:
    """As with artifacts: deleting a file makes room."""
    assert put(client, "a.csv").status_code == 200
    limit(len(CSV))
    refused = client.post("/v1/studies", json=study_body())
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/limit-reached")
    assert client.delete("/v1/task_files/a.csv").status_code == 204
    assert client.post("/v1/studies", json=study_body()).status_code == 201


def test_uploads_side_by_side_do_not_pass_the_limit_together(client: TestClient, folder: Path) -> None:
    """Each had room when it began; one is given its name."""
    limit(len(CSV) + 10)
    folder.mkdir(parents=True)
    together = threading.Barrier(4)

    def upload(number: int) -> bool:
        unfinished = folder / f".unfinished-{number}"
        unfinished.write_text(CSV)
        together.wait(timeout=20)
        try:
            task_file_changes.give_name(
                unfinished, f"{number}.csv", data_dir=folder.parents[1], tenant_id=folder.name
            )
        except LimitReached:
            return False
        return True

    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(upload, range(4))) == 1
    assert len(names(client)) == 1


def test_a_tenant_may_keep_so_many_files(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """However small; one may still be replaced."""
    monkeypatch.setattr(task_file_changes, "MOST_FILES", 2)
    assert [put(client, f"{n}.csv").status_code for n in range(3)] == [200, 200, 409]
    assert put(client, "1.csv", OTHER_CSV).status_code == 200


def test_a_deleted_file_is_gone(client: TestClient) -> None:
    """204 once, then 404; another tenant's is 404 from the start."""
    put(client, "a.csv")
    assert client.delete("/v1/task_files/a.csv", headers=bearer(OTHER_KEY)).status_code == 404
    assert [client.delete("/v1/task_files/a.csv").status_code for _ in range(2)] == [204, 404]
    assert names(client) == []
    assert study_on(client, "a.csv").status_code == 422


@pytest.mark.parametrize("name", ["..%2F..%2Fa.csv", "a.txt", ".unfinished-1", "%00.csv", "a" * 300 + ".csv"])
def test_a_name_that_no_upload_has_is_not_found(client: TestClient, name: str) -> None:
    """Nothing outside the tenant's folder can be named."""
    assert client.delete(f"/v1/task_files/{name}").status_code == 404


def test_a_file_that_an_open_study_reads_stays(client: TestClient) -> None:
    """409 that names the study, for the same bytes by another path, too; paused counts; its end frees it."""
    put(client, "a.csv")
    put(client, "b.csv")
    study = study_on(client, "a.csv").json()
    tenant_path = study["configuration"]["task"]["name"].removeprefix("file:")
    roundabout = study_on(client, f"uploads/../{tenant_path}").json()
    for study_id in (study["id"], roundabout["id"]):
        refused = client.delete("/v1/task_files/a.csv")
        assert (refused.status_code, refused.json()["type"]) == (409, "/problems/task-file-in-use")
        client.post(f"/v1/studies/{study_id}:pause")
        assert client.delete("/v1/task_files/a.csv").status_code == 409
        client.post(f"/v1/studies/{study_id}:cancel")
    assert client.delete("/v1/task_files/a.csv").status_code == 204
    assert client.delete("/v1/task_files/b.csv").status_code == 204


def test_a_file_that_an_open_study_reads_is_not_replaced_by_another(client: TestClient) -> None:
    """The study would fail for it. The same content again is no change."""
    put(client, "a.csv")
    study_id = study_on(client, "a.csv").json()["id"]
    assert put(client, "a.csv", OTHER_CSV).status_code == 409
    assert put(client, "a.csv").status_code == 200
    client.post(f"/v1/studies/{study_id}:cancel")
    assert put(client, "a.csv", OTHER_CSV).status_code == 200


@pytest.mark.parametrize("change", ["deleted", "replaced"])
def test_a_study_is_not_created_on_a_file_that_changed_while_it_was_checked(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """422, as if it had been asked for a moment later."""
    put(client, "a.csv")
    validate_study = studies.validate_study

    def slowly(*args: Any, **named: Any) -> Any:
        valid = validate_study(*args, **named)
        if change == "deleted":
            assert client.delete("/v1/task_files/a.csv").status_code == 204
        else:
            assert put(client, "a.csv", OTHER_CSV).status_code == 200
        return valid

    monkeypatch.setattr(studies, "validate_study", slowly)
    assert study_on(client, "a.csv").status_code == 422
    assert client.get("/v1/studies").json()["studies"] == []


def test_links_are_neither_listed_nor_followed(client: TestClient, folder: Path, tmp_path: Path) -> None:
    """Deleting one leaves what it leads to; so does an upload in its place."""
    secret = tmp_path / "secret.csv"
    secret.write_text(CSV)
    folder.mkdir(parents=True)
    for name in ("a.csv", "b.csv"):
        (folder / name).symlink_to(secret)
    assert names(client) == []
    assert client.delete("/v1/task_files/a.csv").status_code == 204
    assert put(client, "b.csv", OTHER_CSV).status_code == 200
    assert secret.read_text() == CSV
    assert not (folder / "b.csv").is_symlink()


def test_a_folder_that_is_a_link_is_refused(client: TestClient, folder: Path, tmp_path: Path) -> None:
    """Nothing is written where it leads."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    folder.parent.mkdir(parents=True)
    folder.symlink_to(elsewhere)
    answers = put(client, "a.csv"), client.get("/v1/task_files"), client.delete("/v1/task_files/a.csv")
    assert [answer.status_code for answer in answers] == [422, 422, 422]
    assert list(elsewhere.iterdir()) == []


def test_a_full_limit_is_told_before_the_body_is_read(client: TestClient, folder: Path) -> None:
    """Nobody sends a large file for nothing."""
    put(client, "a.csv")
    limit(len(CSV))
    with pytest.raises(LimitReached):
        task_file_changes.room_for("b.csv", data_dir=folder.parents[1], tenant_id=folder.name)
