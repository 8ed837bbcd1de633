"""What `paretune logs` shows of a trial, and what it says where there is nothing."""

import json
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from api_schemas.errors import Problem
from api_schemas.log_tail import LastLines
from api_schemas.trial_logs import AttemptLogRead, TrialLogs
from paretune import log_commands
from paretune.cli import app
from paretune.client import Client
from paretune.errors import RequestRefused
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


def test_followed_as_json_each_change_is_a_line(study_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stays the same is not said again."""
    claimed = leases.claim("host:1")
    assert claimed is not None
    rounds = iter(range(100))

    def go_on(_: float) -> None:
        number = next(rounds)
        if number == 1:
            leases.store_log(claimed.trial_id, 1, LastLines("one", 0))
        elif number == 3:
            leases.complete(claimed.trial_id, 1, REPORT)

    monkeypatch.setattr(log_commands.time, "sleep", go_on)
    found = map(json.loads, output_of(study_id, "0", "--follow", "--json").splitlines())
    assert [[log["text"] for log in one["logs"]] for one in found] == [[], ["one"]]


def test_following_outlasts_a_server_that_is_away_and_shows_a_bar_move(
    study_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy answers 502 meanwhile, also when the trial has just ended: its last lines are shown."""
    claimed = leases.claim("host:1")
    assert claimed is not None
    leases.store_log(claimed.trial_id, 1, LastLines("one\n 3%|#", 0))
    read, calls = Client.trial_logs, iter(range(100))

    def trial_logs(self: Client, *place: str) -> TrialLogs:
        number = next(calls)
        if number in (1, 3):
            gateway = Problem(type="about:blank", title="Bad Gateway", status=502, detail="")
            raise RequestRefused(gateway)
        return read(self, *place)

    def go_on(_: float) -> None:
        if claimed is not None and next(rounds) == 2:
            leases.store_log(claimed.trial_id, 1, LastLines("one\n99%|#\ntwo", 0))
            leases.complete(claimed.trial_id, 1, REPORT)

    rounds = iter(range(100))
    monkeypatch.setattr(Client, "trial_logs", trial_logs)
    monkeypatch.setattr(log_commands.time, "sleep", go_on)
    assert output_of(study_id, "0", "--follow").splitlines()[1:] == ["  one", "   3%|#", "  99%|#", "  two"]


def test_following_ends_quietly_when_it_is_interrupted(
    study_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With 130, as the other commands."""

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(log_commands.time, "sleep", interrupt)
    done = CliRunner().invoke(app, ["logs", study_id, "0", "--follow"])
    assert (done.exit_code, done.output) == (130, "")


def test_lines_of_attempts_that_run_side_by_side_stand_under_their_own() -> None:
    """Seeds of a trial talk at the same time."""

    def log(attempt: int, text: str) -> AttemptLogRead:
        heard = datetime(2026, 1, 1, tzinfo=UTC)
        return AttemptLogRead(attempt=attempt, replicate=0, text=text, omitted_lines=0, recorded_at=heard)

    shown = log_commands.Shown()
    list(shown.news((log(1, "a"), log(2, "b"))))
    lines = list(shown.news((log(1, "a\nc"), log(2, "b"))))
    assert lines == ["attempt 1, replicate 0, last heard 2026-01-01 00:00:00Z", "  c"]
    assert list(shown.news((log(1, "a\nc\nd"), log(2, "b")))) == ["  d"]
