"""The progress display estimates honestly and shows what happened."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import cast

import pytest

from api_schemas.errors import Problem
from api_schemas.one_shot import OneShotRun, one_shot_read
from api_schemas.studies import StudyRead, StudyState
from api_schemas.tasks import Task
from api_schemas.trials import TrialRead, TrialState
from paretune.client import Client
from paretune.console import PlainConsole
from paretune.errors import FollowingEnded, RequestRefused, ServerUnreachable
from paretune.progress import (
    follow,
    picture,
    proposer_text,
    resumable,
    seconds_left,
    studies_table,
    trials_table,
)
from tests.paretune.trials import BASE, START, study, trial


@dataclass
class EndsDuringTheReads:
    """A server whose study ends, with its last trial, after so many reads."""

    reads_left: int

    def _is_over(self) -> bool:
        self.reads_left -= 1
        return self.reads_left < 0

    def get_study(self, _study_id: str) -> StudyRead:
        return study(state=StudyState.SUCCEEDED if self._is_over() else StudyState.ACTIVE)

    def trials(self, _study_id: str) -> Iterator[TrialRead]:
        state = TrialState.SUCCEEDED if self._is_over() else TrialState.RUNNING
        yield trial(0, score=0.7, parameters=10.0, state=state)


@pytest.mark.parametrize("reads", range(6))
def test_the_last_trial_is_told_whenever_it_ends(reads: int) -> None:
    """Between two reads, too: a study is over only when what was read of its trials is."""
    console = PlainConsole(width=160, file=io.StringIO(), record=True)
    client = cast("Client", EndsDuringTheReads(reads))
    follow(client, "std_0", console=console, poll_seconds=0.0)
    assert console.export_text().count("trial   0  SUCCEEDED") == 1


class AwayAtFirst(EndsDuringTheReads):
    """The same, and its first reads find nobody, or a server that cannot serve."""

    def get_study(self, study_id: str) -> StudyRead:
        if self.reads_left > 2:
            self.reads_left -= 1
            raise AWAY[self.reads_left % 2]
        return super().get_study(study_id)


BUSY = Problem(type="/p", title="Busy.", status=503, detail="Later.")
AWAY = (ServerUnreachable("nobody"), RequestRefused(BUSY))


def test_a_server_that_is_away_for_a_while_is_waited_for() -> None:
    """Neither a server that does not answer nor one without its database ends the display."""
    console = PlainConsole(width=160, file=io.StringIO(), record=True)
    client = cast("Client", AwayAtFirst(6))
    assert follow(client, "std_0", console=console, poll_seconds=0.0).state is StudyState.SUCCEEDED
    assert console.export_text().count("trial   0  SUCCEEDED") == 1


def test_after_a_minute_without_a_server_it_is_said_how_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The study is none the worse; a study that is not there cannot be gone on with."""
    monkeypatch.setattr("paretune.progress.PATIENCE_SECONDS", -1.0)
    client = cast("Client", AwayAtFirst(6))
    with pytest.raises(FollowingEnded, match="paretune resume std_0"), resumable("std_0"):
        follow(client, "std_0", console=PlainConsole(file=io.StringIO()), poll_seconds=0.0)
    missing = RequestRefused(BUSY.model_copy(update={"status": 404}))
    with pytest.raises(RequestRefused), resumable("std_0"):
        raise missing


def test_no_estimate_before_the_first_trial_has_ended() -> None:
    """Nothing is known yet, so nothing is said."""
    running = trial(0, score=0.0, parameters=0.0, state=TrialState.RUNNING, finished_at=None)
    assert seconds_left(study(), [running], now=START + timedelta(seconds=50)) is None


def test_the_estimate_goes_on_at_the_pace_so_far() -> None:
    """One of four trials in ten seconds leaves thirty."""
    done = trial(0, score=0.7, parameters=10.0)
    assert seconds_left(study(), [done], now=START + timedelta(seconds=10)) == 30.0


def test_a_failure_shows_its_reason() -> None:
    """The table says why a trial is not a result."""
    failed = trial(
        3,
        score=0.0,
        parameters=0.0,
        state=TrialState.INFEASIBLE,
        metrics={},
        state_reason="out-of-memory: 9 GB",
    )
    console = PlainConsole(width=160, record=True, file=io.StringIO())
    console.print(trials_table(study(), [failed]))
    assert "INFEASIBLE: out-of-memory: 9 GB" in console.export_text()


def test_heading_bar_and_trials_have_lines_of_their_own() -> None:
    """State, progress, hypervolume and time left on top; the table below the bar."""
    console = PlainConsole(width=160, record=True, file=io.StringIO())
    console.print(picture(study(), [trial(0, score=0.7, parameters=10.0)]))
    heading, bar, header, row = console.export_text().splitlines()
    assert "ACTIVE  1 / 4 trials  hypervolume 0.2500" in heading
    assert set(bar.strip()) <= set("━╸╺")
    assert header.split()[:2] == ["trial", "state"]
    assert row.split()[:2] == ["0", "SUCCEEDED"]


def test_the_heading_says_how_many_final_seeds_are_left() -> None:
    """The bar is full by then, and the study is not at its end."""
    waiting = study(trials={"succeeded": 4}, replicate_counts={"queued": 2, "running": 1, "done": 5})
    console = PlainConsole(width=160, record=True, file=io.StringIO())
    console.print(picture(waiting, [trial(0, score=0.7, parameters=10.0)]))
    assert "3 final seeds of the front left" in console.export_text()


def test_what_a_super_network_costs_and_says_is_shown() -> None:
    """Its trainings count as done, and its sentence has a line of its own."""
    run = OneShotRun(configuration=BASE, networks=(), smallest=1, trainings=3)
    found = study(one_shot=one_shot_read(run))
    console = PlainConsole(width=160, file=io.StringIO(), record=True)
    console.print(picture(found, [trial(0, score=0.7, parameters=10.0)]))
    text = console.export_text()
    assert f"4 / {found.budget.trials} trainings" in text
    assert "\nOne-shot: a super-network is trained first, to score 0 sub-networks." in text


def test_seeds_of_the_search_are_not_called_final() -> None:
    """While a trial is open, its seeds belong to the search."""
    searching = study(trials={"running": 1}, replicate_counts={"queued": 2, "running": 1})
    console = PlainConsole(width=160, record=True, file=io.StringIO())
    console.print(picture(searching, []))
    assert "final" not in console.export_text()


def test_trials_that_were_stopped_early_are_counted_and_explained() -> None:
    """They are ended trials, and no failures."""
    stopped = trial(
        2,
        score=0.6,
        parameters=10.0,
        state=TrialState.STOPPED_EARLY,
        state_reason="2 % chance of joining the front",
        on_front=False,
    )
    console = PlainConsole(width=160, record=True, file=io.StringIO())
    console.print(picture(study(trials={"stopped_early": 1}), [stopped]))
    text = console.export_text()
    assert "1 / 4 trials  1 stopped early  hypervolume" in text
    assert "STOPPED_EARLY: 2 % chance of joining the front" in text
    assert "●" not in text


def test_a_score_that_is_not_accuracy_is_named() -> None:
    """The same word would mean something else in another study."""
    task = {"name": "file:a.csv", "kind": "regression"}
    named = study(configuration=BASE.model_copy(update={"task": Task.model_validate(task)}))
    console = PlainConsole(width=160, record=True, file=io.StringIO())
    console.print(trials_table(named, []))
    assert "score (Spearman)" in console.export_text()


def test_another_proposer_is_named() -> None:
    """Paretune's own goes without saying."""
    assert proposer_text(study()) == ""
    assert proposer_text(study(proposals={"proposer": "sobol"})) == "  proposed by sobol"


def test_past_results_do_not_count_as_progress() -> None:
    """A custom study with one of its four trials done, and another that was imported, has three left."""
    mine = study(kind="custom", configuration=None, backbone_shape=None, classes=None)
    done = trial(1, score=0.7, parameters=10.0, configuration=None, finished_at=START + timedelta(seconds=10))
    past = done.model_copy(update={"number": 0, "generated_by": "imported", "started_at": None})
    assert seconds_left(mine, [past, done], now=START + timedelta(seconds=10)) == 30.0
    console = PlainConsole(width=160, record=True, file=io.StringIO())
    console.print(picture(mine, [past, done]))
    assert "1 / 4 trials" in console.export_text()


def test_a_list_of_studies_fits_into_80_columns() -> None:
    """Ids in full, for they are what other commands take; a long name is broken, not cut off."""
    console = PlainConsole(width=80, file=io.StringIO(), record=True)
    name = "every method that people use, on the reviews of the last two years"
    console.print(studies_table([study(display_name=name, state=StudyState.SUCCEEDED)]))
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 80
    assert study().id in text
    assert "years" in text
    assert "SUCCEEDED" in text
