"""Uploads: streamed, read before they get their name, and seen by their tenant alone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from service import settings
from service.api.app import create_app
from service.storage.database import engine, transaction
from service.storage.models import Study
from tests.conftest import API_KEY, OTHER_KEY, study_body

CSV = "text,label\n" + "".join(f"text {n},{n % 2}\n" for n in range(80))
OTHER = {"Authorization": f"Bearer {OTHER_KEY}"}


@pytest.fixture
def data_dir(service_environment: None, tmp_path: Path) -> Path:
    return tmp_path / "data"


def put(client: TestClient, name: str, content: bytes | str = CSV, **more: Any) -> Any:
    return client.put(f"/v1/task_files/{name}", content=content, **more)


def left_behind(data_dir: Path) -> list[str]:
    return [path.name for path in data_dir.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("a.txt", CSV, "must be letters"),
        (".a.csv", CSV, "must be letters"),
        ("a%20b.csv", CSV, "must be letters"),
        ("..%2Fa.csv", CSV, ""),
        ("a.csv", "", "is empty"),
        ("a.csv", b"text\n\xff\n", "byte at offset 5"),
        ("a.parquet", CSV, "no Parquet file"),
    ],
)
def test_what_cannot_be_read_gets_no_name(
    client: TestClient, data_dir: Path, name: str, content: bytes, complaint: str
) -> None:
    """A problem that says why, and nothing on the disk."""
    response = put(client, name, content)
    assert response.status_code in (404, 422)
    assert response.headers["content-type"] == "application/problem+json"
    assert complaint in response.json()["detail"]
    assert left_behind(data_dir) == []


def test_a_file_over_the_limit_is_cut_off(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether or not it says its length; the limit of other bodies does not hold here."""
    monkeypatch.setenv("PARETUNE_MAX_TASK_FILE_BYTES", str(len(CSV)))
    monkeypatch.setenv("PARETUNE_MAX_BODY_BYTES", "100")
    settings.settings.cache_clear()
    with TestClient(create_app(), headers={"Authorization": f"Bearer {API_KEY}"}) as client:
        assert put(client, "a.csv").status_code == 200
        for content in (CSV + "x", iter([CSV.encode(), b"x"])):
            response = put(client, "b.csv", content)  # type: ignore[arg-type]
            assert response.status_code == 413
            assert "PARETUNE_MAX_TASK_FILE_BYTES" in response.json()["detail"]
    assert left_behind(data_dir) == ["a.csv"]


def test_without_a_data_directory_there_are_no_uploads(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message says what to set."""
    monkeypatch.delenv("PARETUNE_DATA_DIR")
    settings.settings.cache_clear()
    for response in (put(client, "a.csv"), client.get("/v1/task_files")):
        assert response.status_code == 422
        assert "PARETUNE_DATA_DIR" in response.json()["detail"]


def test_without_a_key_nothing_is_stored(client: TestClient, data_dir: Path) -> None:
    """401, before the body is read."""
    assert put(client, "a.csv", headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert client.get("/v1/task_files", headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert left_behind(data_dir) == []


def test_a_bad_file_does_not_replace_a_good_one(client: TestClient) -> None:
    """A reader sees the whole file that was there before."""
    assert put(client, "a.csv").status_code == 200
    assert put(client, "a.csv", "text,label\nx\n").status_code == 422
    assert [file["rows"] for file in client.get("/v1/task_files").json()["task_files"]] == [80]


def test_uploads_are_listed_with_their_size(client: TestClient) -> None:
    """Name, rows, columns and bytes; a new version replaces the old one."""
    answer = put(client, "b.csv").json()
    assert answer == {"name": "b.csv", "rows": 80, "columns": ["text", "label"], "bytes": len(CSV)}
    put(client, "a.jsonl", '{"text": "x"}')
    put(client, "a.jsonl", '{"text": "x", "label": 1}\n{"text": "y"}')
    listed = client.get("/v1/task_files").json()["task_files"]
    assert [(file["name"], file["rows"], file["columns"]) for file in listed] == [
        ("a.jsonl", 2, ["text", "label"]),
        ("b.csv", 80, ["text", "label"]),
    ]


def test_an_upload_holds_no_database_connection(client: TestClient) -> None:
    """A slow one must not starve the rest of the service."""
    held: list[int] = []

    def slow() -> Iterator[bytes]:
        yield CSV.encode()
        held.append(engine().pool.checkedout())  # type: ignore[attr-defined]

    assert put(client, "a.csv", slow()).status_code == 200  # type: ignore[arg-type]
    assert held == [0]


def test_a_study_trains_on_an_upload_of_its_own_tenant_only(client: TestClient) -> None:
    """Another tenant's file is one that does not exist; the stored study names this very content."""
    put(client, "mine.csv")
    body = study_body(
        configuration={"backbone": "all-MiniLM-L6-v2", "task": {"name": "file:mine.csv"}},
    )
    refused = client.post("/v1/studies", json=body, headers=OTHER)
    assert refused.status_code == 422
    assert "There is no file 'mine.csv'" in refused.json()["detail"]
    assert client.get("/v1/task_files", headers=OTHER).json() == {"task_files": []}
    created = client.post("/v1/studies", json=body).json()
    task = created["configuration"]["task"]
    assert task["name"].startswith("file:uploads/tnt_")
    assert len(task["sha256"]) == 64
    assert created["classes"] == 2
    again = {**body, "configuration": created["configuration"]}
    assert client.post("/v1/studies", json=again).status_code == 201
    assert client.post("/v1/studies", json=again, headers=OTHER).status_code == 422
    with transaction() as session:
        assert len(session.scalars(select(Study)).all()) == 2
