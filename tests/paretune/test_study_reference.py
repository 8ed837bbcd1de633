"""A study is named as people name it, and never the wrong one is taken."""

import uuid
from collections.abc import Sequence
from typing import cast

import pytest
import typer
from typer.testing import CliRunner

from paretune.cli import app
from paretune.client import Client
from paretune.command_options import studies_beginning
from paretune.errors import NoServer, NotConfirmed
from paretune.id_reference import NoSuchId
from paretune.study_reference import find_study
from tests.conftest import API_KEY
from tests.paretune.client.studies import DOCUMENT
from tests.paretune.trials import study

OLD, NEW = "std_01a2" + "0" * 28, "std_01b3" + "0" * 28


class Listing:
    """A client of which only the list of studies is asked for."""

    def __init__(self, *studies: tuple[str, str]) -> None:
        self._studies = [study(id=study_id, display_name=name) for study_id, name in studies]

    def studies(self) -> Sequence[object]:
        return self._studies


def found(reference: str, *studies: tuple[str, str]) -> str:
    return find_study(cast("Client", Listing(*studies)), reference)


STUDIES = ((NEW, "film reviews"), (OLD, "[/INST] 学"))


@pytest.mark.parametrize(
    ("reference", "study_id"),
    [
        (OLD, OLD), ("std_01a", OLD), ("01b", NEW), ("film reviews", NEW), ("[/INST] 学", OLD),
        ("latest", NEW),
        ("std_" + "f" * 32, "std_" + "f" * 32),
    ],
)  # fmt: skip
def test_a_study_is_found(reference: str, study_id: str) -> None:
    """By id, beginning, display name or as the latest; a whole id is the server's to judge."""
    assert found(reference, *STUDIES) == study_id


@pytest.mark.parametrize("reference", ["std_01", "std_", "same", "01"])
def test_what_may_be_several_is_refused_with_all_of_them(reference: str) -> None:
    """Of two studies of one name, and of a name that is another's beginning."""
    with pytest.raises(NoSuchId) as refused:
        found(reference, (NEW, "same"), (OLD, "same"))
    assert {OLD, NEW} <= set(str(refused.value).split())


def test_a_name_that_is_the_beginning_of_another_id_is_refused() -> None:
    """Whichever was meant, the other one would be deleted by half of the people."""
    with pytest.raises(NoSuchId, match="any of 2"):
        found("std_01a", (NEW, "std_01a"), (OLD, "other"))


@pytest.mark.parametrize("reference", ["", " ", "film review", "latest "])
def test_what_is_no_study_is_refused(reference: str) -> None:
    """An empty name, as of a variable that is not set, means no study, not the only one."""
    with pytest.raises(NoSuchId):
        found(reference, (NEW, "film reviews"))
    with pytest.raises(NoSuchId):
        found("latest")


def test_a_near_name_is_suggested() -> None:
    """The message goes on to say where the list is."""
    with pytest.raises(NoSuchId, match="Did you mean 'film reviews'"):
        found("film review", *STUDIES)


def _commands() -> list[tuple[list[str], typer.core.TyperCommand]]:
    root = typer.main.get_command(app)
    assert isinstance(root, typer.core.TyperGroup)
    listed: list[tuple[list[str], typer.core.TyperCommand]] = []
    for name, command in root.commands.items():
        if isinstance(command, typer.core.TyperGroup):
            listed += [([name, inner], made) for inner, made in command.commands.items()]
        else:
            listed.append(([name], command))
    return listed


def test_every_command_takes_a_study_by_any_name(
    server_url: str, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No command has an argument for an id alone, and each looks names up before it does anything."""
    monkeypatch.setenv("PARETUNE_URL", server_url)
    monkeypatch.setenv("PARETUNE_API_KEY", API_KEY)
    client.create_study_from(DOCUMENT)
    more = {
        "agent": ["true"], "logs": ["0"], "extend": ["--trials", "1"], "export-optuna": ["sqlite:///none.db"],
        "export-mlflow": ["--tracking-uri", "sqlite:///none.db"],
    }  # fmt: skip
    seen = []
    for path, command in _commands():
        named = [item for item in command.params if item.metavar == "STUDY"]
        assert not [item.name for item in command.params if item.name == "study_id"]
        if named:
            before = ["whk_1"] if path == ["webhooks", "replay"] else []
            done = CliRunner().invoke(app, [*path, *before, "no such", *more.get(path[0], [])])
            assert isinstance(done.exception, NoSuchId), (path, done.output, done.exception)
            seen.append(path[0])
    assert len(seen) == 18


READING = [
    ["status"], ["status", "latest"], ["events", "latest"], ["importance", "latest"], ["files"], ["audit"],
    ["webhooks", "list"], ["export", "latest"], ["recommend", "latest"], ["export-optuna", "latest", "a.db"],
    ["export-mlflow", "latest", "--tracking-uri", "sqlite:///none.db"],
]  # fmt: skip


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_who_only_reads_starts_no_server(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """It says how to start one, at once."""
    monkeypatch.delenv("PARETUNE_URL", raising=False)
    monkeypatch.setenv("PARETUNE_STATE_DIR", f"/nonexistent/{uuid.uuid4()}")
    done = CliRunner().invoke(app, command)
    assert isinstance(done.exception, NoServer)
    assert "paretune up" in str(done.exception)


def test_what_deletes_asks_first(server_url: str, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A no, or no answer, deletes nothing; the study is shown before it is asked for."""
    monkeypatch.setenv("PARETUNE_URL", server_url)
    monkeypatch.setenv("PARETUNE_API_KEY", API_KEY)
    study_id = client.create_study_from(DOCUMENT).id
    client.cancel(study_id)
    webhook_id = client.create_webhook("https://1.1.1.1/hook").id
    client.create_key(name="ci")
    commands = (
        ["delete", "latest"], ["delete-file", "a.csv"], ["webhooks", "delete", webhook_id],
        ["keys", "revoke", "ci"],
    )  # fmt: skip
    for answer in ("", "n\n", "maybe\n"):
        for command in commands:
            done = CliRunner().invoke(app, command, input=answer)
            assert isinstance(done.exception, NotConfirmed)
    assert client.get_study(study_id).id == study_id
    assert [webhook.id for webhook in client.webhooks()] == [webhook_id]
    assert {key.revoked_at for key in client.api_keys()} == {None}
    done = CliRunner().invoke(app, ["delete", study_id[:20]], input="y\n")
    assert done.exit_code == 0, done.output
    assert "CANCELLED" in done.output
    assert list(client.studies()) == []


def test_a_shell_completes_names_ids_and_latest(
    client: Client, server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the server that runs; without one, only what needs none, and no error."""
    monkeypatch.setenv("PARETUNE_URL", server_url)
    monkeypatch.setenv("PARETUNE_API_KEY", API_KEY)
    study = client.create_study_from({**DOCUMENT, "display_name": "lager beer"})
    assert studies_beginning("la") == ["latest", "lager beer"]
    assert studies_beginning(study.id[:12]) == [study.id]
    monkeypatch.setenv("PARETUNE_URL", "http://127.0.0.1:1")
    assert studies_beginning("") == ["latest"]
