"""Rows that lie beside a study file go with it."""

from pathlib import Path

import pytest

from api_schemas.studies import StudyCreate
from paretune.client import Client
from paretune.errors import RequestRefused
from paretune.task_file import checked_study, with_task_file
from tests.conftest import study_body

ROWS = "text,label\nfine,good\nbad,poor\n"
MANY = "text,label\n" + "".join(f"text {n},{n % 2}\n" for n in range(80))
EDITED = MANY.replace("text 0", "text zero")


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


def test_a_check_leaves_the_uploads_as_they_are(client: Client, tmp_path: Path) -> None:
    """Also while a study reads the file of that name; what is told has the file's own name."""
    file, study_file = tmp_path / "a.csv", tmp_path / "study.yaml"
    file.write_text(MANY)
    kept = client.create_study(with_task_file(client, study_on("file:a.csv"), study_file=study_file))
    file.write_text(EDITED)
    found = checked_study(client, study_on("file:a.csv"), study_file=study_file)
    assert task_of(found.study) == "file:a.csv"
    first = found.first_trials[0].configuration
    assert first is not None
    assert first.task.name == "file:a.csv"
    assert [file.name for file in client.task_files()] == ["a.csv"]
    assert kept.configuration is not None
    assert found.study.configuration is not None
    assert found.study.configuration.task.sha256 != kept.configuration.task.sha256
    file.write_text(MANY)
    again = checked_study(client, study_on("file:a.csv"), study_file=study_file)
    assert again.study.configuration is not None
    assert again.study.configuration.task.sha256 == kept.configuration.task.sha256


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("a.csv", MANY.replace("label", "mood"), "'a.csv' has no column 'label'"),
        ("a.csv", "text,label\na,b,c\n", "'a.csv'"),
        ("a.csv", "text,label\n,x\n,y\n", "every text of the column"),
        ("my a.csv", MANY, "'my a.csv' must be letters"),
    ],
)
def test_a_check_that_is_refused_leaves_nothing_and_names_the_file(
    client: Client, tmp_path: Path, name: str, content: str, complaint: str
) -> None:
    """By its own name, which a study must be able to have."""
    (tmp_path / name).write_text(content)
    with pytest.raises(RequestRefused) as refused:
        checked_study(client, study_on(f"file:{name}"), study_file=tmp_path / "study.yaml")
    assert complaint in str(refused.value)
    assert client.task_files() == ()
