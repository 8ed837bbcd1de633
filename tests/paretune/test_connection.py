"""What a command line says of its server wins over what the environment says."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from paretune.cli import app
from paretune.client import Client
from paretune.errors import NoServer, ParetuneError
from tests.paretune.test_cli import with_imported_result


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_a_state_directory_on_the_command_line_is_the_server_that_is_meant(
    served: Client, tmp_path: Path
) -> None:
    """None runs there, and the studies at the address of the environment are no answer."""
    with_imported_result(served)
    assert run("status").exit_code == 0
    done = run("status", "latest", "--state-dir", tmp_path)
    assert isinstance(done.exception, NoServer)


def test_of_two_variables_the_address_is_taken(
    served: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PARETUNE_STATE_DIR may be set for `paretune up` alone."""
    monkeypatch.setenv("PARETUNE_STATE_DIR", str(tmp_path))
    study_id = with_imported_result(served)
    assert study_id in run("status").output


def test_keys_of_a_state_directory_are_not_those_of_the_address(
    served: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No server runs on the directory, so there is no key to show."""
    monkeypatch.delenv("DATABASE_URL")
    assert run("keys", "list").exit_code == 0
    done = run("keys", "list", "--state-dir", tmp_path)
    assert isinstance(done.exception, ParetuneError)
    assert f"No server runs on {tmp_path}" in str(done.exception)


def test_workers_that_cannot_be_had_are_said(served: Client, tmp_path: Path) -> None:
    """On stderr, with what to do; the command goes on."""
    study_id = with_imported_result(served)
    served.cancel(study_id)
    done = run("resume", study_id, "--trial-workers", 3, "--output", tmp_path)
    assert done.exit_code == 0
    assert "--trial-workers has no effect" in done.stderr
    assert "paretune up --trial-workers 3" in done.stderr
    assert "no effect" not in run("resume", study_id, "--output", tmp_path).stderr
