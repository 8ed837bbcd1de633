"""What `paretune logs` shows of a trial, and what it says where there is nothing."""

import json

import pytest
from typer.testing import CliRunner

from api_schemas.log_tail import LastLines
from paretune import log_commands
from paretune.cli import app
from paretune.client import Client
from service.trials import leases
from tests.conftest import API_KEY
from tests.service.trials.test_leases import REPORT, stored_study


@pytest.fixture
def study_id(server_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PARETUNE_URL", server_url)
    monkeypatch.setenv("PARETUNE_API_KEY", API_KEY)
    return stored_study(trials=1)


def output_of(*command: str) -> str:
    return CliRunner().invoke(app, ["logs", *command]).output


def test_where_nothing_is_there_it_says_so(study_id: str) -> None:
    """No study, no trial of that number, no line yet."""
    assert CliRunner().invoke(app, ["logs", "nothing", "0"]).exit_code != 0
    missing = CliRunner().invoke(app, ["logs", study_id, "7"])
    assert "has no trial 7; it has 1, counted from 0" in str(missing.exception)
    assert output_of(study_id, "0") == "Nothing was said yet.\n"


def test_lines_are_shown_as_text_and_counted(study_id: str) -> None:
    """Marks of rich and of HTML included; with --json as the API has them."""
    claimed = leases.claim("host:1")
    assert claimed is not None
    leases.store_log(claimed.trial_id, 1, LastLines("[bold]step 7[/bold] <b>", 6))
    shown = output_of(study_id, "0").splitlines()
    assert shown[0].startswith("attempt 1, replicate 0, last heard 20")
    assert shown[1:] == ["  (6 lines before these are not kept)", "  [bold]step 7[/bold] <b>"]
    assert json.loads(output_of(study_id, "0", "--json"))["logs"][0]["omitted_lines"] == 6


def test_following_shows_each_line_once_until_the_trial_ends(
    study_id: str, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also what was said just before the end."""
    claimed = leases.claim("host:1")
    assert claimed is not None
    leases.store_log(claimed.trial_id, 1, LastLines("one\ntwo", 0))
    rounds = iter(range(100))

    def go_on(_: float) -> None:
        number = next(rounds)
        if number == 0:
            leases.store_log(claimed.trial_id, 1, LastLines("two\nthree", 1))
        elif number == 2:
            leases.store_log(claimed.trial_id, 1, LastLines("two\nthree\nfour", 1))
            leases.complete(claimed.trial_id, 1, REPORT)

    monkeypatch.setattr(log_commands.time, "sleep", go_on)
    shown = output_of(study_id, "0", "--follow").splitlines()
    assert shown[1:] == ["  one", "  two", "  three", "  four"]
    assert client.get_trial(study_id, claimed.trial_id).state.value == "SUCCEEDED"
