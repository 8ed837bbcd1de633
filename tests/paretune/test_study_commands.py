"""Commands that are a call or two of the API, against the server of the environment."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from api_schemas.ask_and_tell import ImportedObservation
from paretune.cli import app
from paretune.client import Client
from paretune.errors import KeyMissing, NoServer, RequestRefused
from paretune.id_reference import NoSuchId
from tests.conftest import API_KEY
from tests.paretune.client.studies import DOCUMENT

Say = Callable[..., str]


@pytest.fixture
def said(server_url: str, monkeypatch: pytest.MonkeyPatch) -> Say:
    """Runs a command and gives what it printed."""
    monkeypatch.setenv("PARETUNE_URL", server_url)
    monkeypatch.setenv("PARETUNE_API_KEY", API_KEY)

    def run(*command: str) -> str:
        done = CliRunner().invoke(app, list(command))
        if done.exception is not None:
            raise done.exception
        # The server runs in this process, and its log is JSON.
        return "\n".join(line for line in done.output.splitlines() if not line.startswith("{"))

    return run


def test_an_address_without_a_key_is_said_before_anything_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the variable to set."""
    monkeypatch.setenv("PARETUNE_URL", "http://127.0.0.1:1")
    monkeypatch.delenv("PARETUNE_API_KEY", raising=False)
    done = CliRunner().invoke(app, ["files"])
    assert isinstance(done.exception, KeyMissing)
    assert "PARETUNE_API_KEY" in str(done.exception)


def test_what_is_not_there_is_refused(said: Say) -> None:
    """With the server's sentence."""
    for command in ("pause", "cancel", "events", "importance", "update"):
        with pytest.raises(RequestRefused):
            said(command, f"std_{'0' * 32}")


def test_a_study_is_created_updated_paused_and_cancelled(said: Say, tmp_path: Path) -> None:
    """Each says where it stands now; its events say what happened, after a number and whole."""
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(DOCUMENT))
    created = said("create", str(file))
    study_id = created.split()[0]
    assert f"paretune events {study_id} --follow" in created
    assert "Parallelism 2" in said("update", study_id, "--parallelism", "2", "--ahead", "0")
    assert "PAUSED" in said("pause", study_id)
    assert "no result yet" in said("importance", study_id)
    assert "No file yet" in said("files")
    assert "CANCELLED" in said("cancel", study_id, "--yes")
    lines = said("events", study_id, "--follow").splitlines()
    assert [line.split()[3] for line in lines[:3]] == ["study.created", "study.updated", "study.paused"]
    assert said("events", study_id, "--after", "2").splitlines() == lines[2:]


def test_a_file_is_uploaded_listed_and_deleted(said: Say, tmp_path: Path) -> None:
    """By its name as it is listed; deleting it twice is refused."""
    file = tmp_path / "mine.csv"
    file.write_text("text,label\na,b\nc,d\n")
    said("upload", str(file))
    assert "file:mine.csv  2 rows, 19 bytes" in said("files")
    assert "Deleted mine.csv" in said("delete-file", "file:mine.csv", "--yes")
    assert "No file yet" in said("files")
    with pytest.raises(RequestRefused):
        said("delete-file", "mine.csv", "-y")


@pytest.fixture
def no_server(state_root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state directory on which nothing runs, and no address of another server."""
    for name in ("PARETUNE_URL", "DATABASE_URL", "BROKER_URL", "PARETUNE_ARTIFACTS_URL"):
        monkeypatch.delenv(name, raising=False)
    return state_root / "state"


@pytest.mark.slow
def test_a_study_made_without_a_running_server_is_gone_on_with(no_server: Path, tmp_path: Path) -> None:
    """The server was there for the call alone, so there will be nothing to follow."""
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(DOCUMENT))
    done = CliRunner().invoke(app, ["create", str(file), "--state-dir", str(no_server)])
    assert done.exit_code == 0, done.output
    study_id = next(word for word in done.output.split() if word.startswith("std_"))
    assert f"Go on with: paretune resume {study_id}" in done.output
    assert "--follow" not in done.output


def test_nothing_is_followed_without_a_running_server(no_server: Path) -> None:
    """It would wait for ever; the message says what to start, and nothing is started."""
    command = ["events", f"std_{'0' * 32}", "--follow", "--state-dir", str(no_server)]
    done = CliRunner().invoke(app, command)
    assert isinstance(done.exception, NoServer)
    assert "paretune up" in str(done.exception)
    assert not no_server.exists()


def test_following_ends_with_the_study(said: Say, server_url: str) -> None:
    """What happens meanwhile is shown as it happens."""
    with Client(server_url, api_key=API_KEY) as client:
        study_id = client.create_study_from(DOCUMENT).id
        timer = threading.Timer(0.3, lambda: client.cancel(study_id))
        timer.start()
        lines = said("events", study_id, "--follow").splitlines()
        timer.join()
    assert lines[0].split()[3] == "study.created"
    assert lines[-1].split()[3] == "study.cancelled"


def test_who_stops_following_gets_no_success(server_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends with 130 as everywhere: a script does not take it for the end of the study."""

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setenv("PARETUNE_URL", server_url)
    monkeypatch.setenv("PARETUNE_API_KEY", API_KEY)
    monkeypatch.setattr(Client, "events", interrupt)
    with Client(server_url, api_key=API_KEY) as client:
        study_id = client.create_study_from(DOCUMENT).id
    assert CliRunner().invoke(app, ["events", study_id, "--follow"]).exit_code == 130


def test_an_admin_steers_webhooks_and_reads_the_audit_log(said: Say) -> None:
    """The secret is shown as the webhook is made, and never again."""
    made = said("webhooks", "create", "https://1.1.1.1/hook", "--event", "study.created").splitlines()
    webhook_id, secret = made[0].partition(":")[0], made[1]
    listed = said("webhooks", "list")
    assert webhook_id in listed
    assert secret not in listed
    with pytest.raises(NoSuchId, match="webhooks list"):
        said("webhooks", "replay", "whk_none", f"std_{'0' * 32}")
    assert f"Deleted {webhook_id}" in said("webhooks", "delete", webhook_id[:-4], "--yes")
    audit = said("audit", "--limit", "2")
    assert "webhook.deleted" in audit
    assert "webhook.created" in audit


def test_an_admin_elsewhere_makes_lists_and_revokes_keys(said: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over the API, for the own tenant; another tenant needs the database."""
    monkeypatch.delenv("DATABASE_URL")
    made = said("keys", "create", "--name", "ci", "--scope", "read").splitlines()
    key_id, secret = made[0].partition(":")[0], made[1]
    assert secret.startswith("ptk_")
    listed = said("keys", "list")
    assert key_id in listed
    assert secret not in listed
    assert f"{key_id} (ci) was revoked at" in said("keys", "revoke", "ci", "--yes")
    with pytest.raises(Exception, match="leave --tenant out"):
        said("keys", "list", "--tenant", "lab")


HOSTILE_NAME = "[/INST] \x1b]0;owned\x07 [bold]"
HOSTILE_SHOWN = "[/INST] \\x1b]0;owned\\x07 [bold]"


def test_what_a_user_wrote_is_shown_as_it_is(said: Say, client: Client) -> None:
    """Choices, names, reasons and keys' names, in status, events, audit and keys."""
    choices = {"type": "categorical", "name": "x", "choices": [HOSTILE_NAME, "[red"]}
    document = {**DOCUMENT, "display_name": HOSTILE_NAME, "search_space": {"parameters": [choices]}}
    study_id = client.create_study_from(document).id
    result = {"cost": 1.0, "gain": 1.0}
    client.import_observations(
        study_id,
        [
            ImportedObservation(parameters={"x": HOSTILE_NAME}, metrics=result),
            ImportedObservation(parameters={"x": "[red"}, infeasible=HOSTILE_NAME),
        ],
    )
    listed, shown = said("status"), said("status", study_id)
    assert HOSTILE_SHOWN in listed
    assert shown.count(HOSTILE_SHOWN) == 3  # the study, a reason, a point of the front
    client.create_key(name=HOSTILE_NAME)
    assert HOSTILE_SHOWN in said("keys", "list")
    for output in (listed, shown, said("audit"), said("events", study_id), said("recommend", study_id)):
        assert "\x1b" not in output
        assert "\x07" not in output


def test_a_custom_study_that_is_run_says_who_must_run_its_trials(
    said: Say, client: Client, tmp_path: Path
) -> None:
    """And how a program asks for them: nothing of ours will, and the command would wait without a word."""
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(DOCUMENT))
    timer = threading.Timer(1.0, lambda: [client.cancel(study.id) for study in client.studies()])
    timer.start()
    output = said("run", str(file), "--output", str(tmp_path))
    timer.join()
    assert "a program of yours must run its trials" in output
    assert "paretune agent" in output
    assert (
        f'Client("{client.base_url}", api_key=...).study("{next(client.studies()).id}").open_trials()'
        in output
    )
