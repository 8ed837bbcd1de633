"""The client turns the server's answers into types, and its refusals into sentences."""

import itertools
import threading
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from typer.testing import CliRunner

from api_schemas.studies import StudyState
from api_schemas.study_changes import StudyUpdate
from paretune.cli import app
from paretune.client import Client
from paretune.errors import RequestRefused, ServerUnreachable, UnreadableFile
from service.api.protocol import event_stream
from service.storage import database
from tests.conftest import API_KEY, make_study_request


def test_no_server_is_explained() -> None:
    """The message names the address and what to run."""
    with (
        Client("http://127.0.0.1:1", api_key="k") as client,
        pytest.raises(ServerUnreachable, match="paretune up"),
    ):
        client.get_study("std_1")


def test_a_refusal_carries_its_problem(client: Client) -> None:
    """Detail and pointers reach the user."""
    bad = make_study_request(search_space={"parameters": [{"type": "bool", "name": "peft.active_layers.9"}]})
    with pytest.raises(RequestRefused, match=r"/search_space/parameters/0.*layers 0 to 5") as caught:
        client.create_study(bad)
    assert caught.value.problem.status == 422


def test_calls_wait_for_the_database_to_come_back(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A study is made and read as soon as connections open again."""
    study = client.create_study(make_study_request())
    whole = database.engine
    broken = create_engine(
        "postgresql+psycopg://nobody@127.0.0.1:1/none", connect_args={"connect_timeout": 1}
    )
    monkeypatch.setattr(database, "engine", lambda: broken)
    timer = threading.Timer(1.0, lambda: monkeypatch.setattr(database, "engine", whole))
    timer.start()
    assert client.create_study(make_study_request()).id != study.id
    assert client.get_study(study.id).id == study.id
    timer.join()


CSV = "text,label\n" + "".join(f"text {n},{n % 2}\n" for n in range(80))


def test_a_file_that_cannot_be_read_is_named(client: Client, tmp_path: Path) -> None:
    """Before anything is sent."""
    with pytest.raises(UnreadableFile, match=r"no\.csv cannot be read: No such file"):
        client.upload_task_file(tmp_path / "no.csv")


def test_a_file_that_is_no_table_is_refused_with_its_place(client: Client, tmp_path: Path) -> None:
    """The server's sentence reaches the user, and nothing is kept."""
    (tmp_path / "a.csv").write_bytes(b"text,label\n\xe9,1\n")
    with pytest.raises(RequestRefused, match="not UTF-8: the byte at offset 11"):
        client.upload_task_file(tmp_path / "a.csv")
    with pytest.raises(RequestRefused, match="must be letters"):
        client.upload_task_file(tmp_path / "a.csv", name="a b?.csv")
    assert client.task_files() == ()


def test_an_uploaded_file_is_trained_on(client: Client, tmp_path: Path) -> None:
    """Under its own name or another one."""
    (tmp_path / "mine.csv").write_text(CSV)
    assert client.upload_task_file(tmp_path / "mine.csv").rows == 80
    kept = client.upload_task_file(tmp_path / "mine.csv", name="yours.csv")
    assert (kept.name, kept.columns) == ("yours.csv", ("text", "label"))
    assert [file.name for file in client.task_files()] == ["mine.csv", "yours.csv"]
    task = {"name": f"file:{kept.name}"}
    study = make_study_request(configuration={"backbone": "all-MiniLM-L6-v2", "task": task})
    assert client.create_study(study).classes == 2


def test_the_command_uploads_and_says_how_to_name_the_file(
    server_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`paretune upload FILE --name NAME` against the server of the environment."""
    monkeypatch.setenv("PARETUNE_URL", server_url)
    monkeypatch.setenv("PARETUNE_API_KEY", API_KEY)
    (tmp_path / "mine.csv").write_text(CSV)
    done = CliRunner().invoke(app, ["upload", str(tmp_path / "mine.csv"), "--name", "yours.csv"])
    assert done.exit_code == 0
    assert "80 rows with the columns text, label. In a study: name: file:yours.csv" in done.output


def test_a_study_goes_there_and_back(client: Client) -> None:
    """What is posted is what is read, through every verb."""
    study = client.create_study(make_study_request(display_name="there and back"))
    assert client.get_study(study.id) == study
    assert [item.id for item in client.studies()] == [study.id]
    assert list(client.trials(study.id)) == []
    assert client.pareto_front(study.id).points == ()
    assert client.hypervolume_history(study.id).records == ()
    assert client.pause(study.id).state is StudyState.PAUSED
    assert client.resume(study.id).state is StudyState.ACTIVE
    assert client.cancel(study.id).state is StudyState.CANCELLED


def test_events_of_no_study_are_refused_at_once(client: Client) -> None:
    """404 before the first event."""
    with pytest.raises(RequestRefused) as refused:
        next(client.events(f"std_{'0' * 32}"))
    assert refused.value.problem.status == 404


def test_events_go_on_over_lost_connections(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each once and in order, however often the server hangs up."""
    monkeypatch.setattr(event_stream, "LONGEST_SECONDS", 0.001)
    monkeypatch.setattr("paretune.client.following.PAUSE_SECONDS", 0.0)
    study_id = client.create_study(make_study_request()).id
    events = client.events(study_id, after=0)
    found = [next(events)]
    for change in (client.pause, client.resume, client.pause):
        change(study_id)
        found.append(next(events))
    events.close()
    assert [event.sequence for event in found] == [1, 2, 3, 4]
    assert [event.type for event in found] == [
        "study.created",
        "study.paused",
        "study.resumed",
        "study.paused",
    ]
    assert [event.sequence for event in itertools.islice(client.events(study_id, after=2), 2)] == [3, 4]


def test_a_study_is_extended_cloned_and_deleted(client: Client) -> None:
    """Through the client; what is deleted is gone, and its clone is not."""
    study = client.create_study(make_study_request())
    assert client.update(study.id, StudyUpdate(parallelism=3)).parallelism == 3
    assert client.extend(study.id, trials=2).budget.trials == study.budget.trials + 2
    clone = client.clone(study.id, edits={"display_name": "clone"})
    assert (clone.display_name, clone.search_space) == ("clone", study.search_space)
    with pytest.raises(RequestRefused, match="cancel it"):
        client.delete(study.id)
    client.cancel(study.id)
    client.delete(study.id)
    assert [item.id for item in client.studies()] == [clone.id]


def test_the_commands_extend_clone_and_delete(
    server_url: str, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each says what is now true and what to do next."""
    monkeypatch.setenv("PARETUNE_URL", server_url)
    monkeypatch.setenv("PARETUNE_API_KEY", API_KEY)
    study = client.create_study(make_study_request())
    (tmp_path / "edits.yaml").write_text("parallelism: 2")

    def said(*command: str) -> str:
        done = CliRunner().invoke(app, list(command))
        assert done.exit_code == 0, done.output
        return done.output

    assert "0 / 9 trials" in said("extend", study.id, "--trials", "5")
    cloned = said("clone", study.id, "--edits", str(tmp_path / "edits.yaml"), "--import-trials")
    assert "0 trials imported" in cloned
    assert next(client.studies()).parallelism == 2
    client.cancel(study.id)
    assert f"Deleted {study.id}" in said("delete", study.id, "--yes")
