"""Rows that lie beside a study file go with it."""

from pathlib import Path

import pytest

from api_schemas.studies import StudyCreate
from paretune.client import Client
from paretune.task_file import with_task_file
from tests.conftest import study_body

ROWS = "text,label\nfine,good\nbad,poor\n"


def study_on(name: str) -> StudyCreate:
    configuration = {"backbone": "all-MiniLM-L6-v2", "task": {"name": name}}
    return StudyCreate.model_validate(study_body(configuration=configuration))


def task_of(study: StudyCreate) -> str:
    assert study.configuration is not None
    return study.configuration.task.name


def test_rows_beside_a_study_file_are_sent(client: Client, tmp_path: Path) -> None:
    """Those of a folder below, too, under their own name; sending them twice changes nothing."""
    (tmp_path / "data").mkdir()
    for file in (tmp_path / "a.csv", tmp_path / "data" / "b.csv"):
        file.write_text(ROWS)
    for _ in range(2):
        sent = with_task_file(client, study_on("file:data/b.csv"), study_file=tmp_path / "study.yaml")
        assert task_of(sent) == "file:b.csv"
    with_task_file(client, study_on("file:a.csv"), study_file=tmp_path / "study.yaml")
    assert [file.name for file in client.task_files()] == ["a.csv", "b.csv"]


def test_other_rows_are_left_to_the_server(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Packaged ones, those that are not there, and those of the folder that a server is given."""
    for name in ("rotten-tomatoes", "file:elsewhere.csv"):
        assert task_of(with_task_file(client, study_on(name), study_file=tmp_path / "study.yaml")) == name
    (tmp_path / "a.csv").write_text(ROWS)
    monkeypatch.setenv("PARETUNE_DATA_DIR", str(tmp_path))
    with_task_file(client, study_on("file:a.csv"), study_file=tmp_path / "study.yaml")
    assert client.task_files() == ()
