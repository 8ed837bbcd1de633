"""The command that shows what a trial has said while it ran."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC
from typing import Annotated

import typer

from api_schemas.trial_logs import AttemptLogRead, TrialLogs
from api_schemas.trials import TERMINAL_TRIAL_STATES, TrialRead
from paretune.client import Client
from paretune.client.following import PASSING, PATIENCE_SECONDS
from paretune.command_groups import RESULTS
from paretune.command_options import Json, StateDir, StudyReference
from paretune.connection import server_that_runs
from paretune.console import say, say_json, say_json_line, working
from paretune.errors import RequestRefused, ServerUnreachable
from paretune.study_reference import find_study, numbered_trial

POLL_SECONDS = 2.0

app = typer.Typer()


@app.command(rich_help_panel=RESULTS)
def logs(
    reference: StudyReference,
    number: Annotated[int, typer.Argument(metavar="TRIAL", min=0, help="Its number in the study.")],
    follow: Annotated[bool, typer.Option("--follow", help="Go on until the trial has ended.")] = False,
    as_json: Json = False,
    state_dir: StateDir = None,
) -> None:
    """Show the last lines that each attempt at a trial has said: steps, warnings, what broke it.

    With --json as the API has them; with --follow, too, a line each time they have changed.
    """
    with server_that_runs(state_dir) as client:
        with working("Reading the study"):
            trial = numbered_trial(client, find_study(client, reference), number=number)
            found = client.trial_logs(trial.study_id, trial.id)
        if as_json and not follow:
            say_json(found)
            return
        show = _say_changes() if as_json else Shown().say_news
        show(found)
        if not found.logs and not follow:
            say("Nothing was said yet." if trial.state not in TERMINAL_TRIAL_STATES else "Nothing was said.")
        try:
            if follow and trial.state not in TERMINAL_TRIAL_STATES:
                _follow(client, trial, show)
        except KeyboardInterrupt:
            raise typer.Exit(130) from None


def _say_changes() -> Callable[[TrialLogs], None]:
    """Return what prints logs as a line of JSON where they differ from those before."""
    last: TrialLogs | None = None

    def show(found: TrialLogs) -> None:
        nonlocal last
        if found != last:
            say_json_line(found)
        last = found

    return show


def _follow(client: Client, trial: TrialRead, show: Callable[[TrialLogs], None]) -> None:
    heard = time.monotonic()
    ended = False
    while not ended:
        time.sleep(POLL_SECONDS)
        try:
            # In this order: what a trial says last is there before it ends.
            state = client.get_trial(trial.study_id, trial.id).state
            found = client.trial_logs(trial.study_id, trial.id)
        except ServerUnreachable:
            if time.monotonic() > heard + PATIENCE_SECONDS:
                raise
        except RequestRefused as refused:
            if refused.problem.status not in PASSING or time.monotonic() > heard + PATIENCE_SECONDS:
                raise
        else:
            heard = time.monotonic()
            show(found)
            ended = state in TERMINAL_TRIAL_STATES


class Shown:
    """What was shown of the logs of a trial so far."""

    def __init__(self) -> None:
        self._last: dict[int, tuple[int, str]] = {}
        """By attempt, the number and the text of its last line."""
        self._under: int | None = None

    def say_news(self, found: TrialLogs) -> None:
        """Print what was not shown yet."""
        say(*self.news(found.logs))

    def news(self, found: tuple[AttemptLogRead, ...]) -> Iterator[str]:
        """Yield the lines that were not shown yet, under the attempt that said them.

        A last line that has changed is one of a progress bar, which has moved.
        """
        for log in found:
            lines = log.text.split("\n")
            number, text = self._last.get(log.attempt, (0, ""))
            first = max(0, number - log.omitted_lines)
            if 0 < first <= len(lines) and lines[first - 1] != text:
                first -= 1
            if lines[first:]:
                yield from self._heading(log)
            yield from (f"  {line}" for line in lines[first:])
            if log.omitted_lines + len(lines) >= number:
                self._last[log.attempt] = (log.omitted_lines + len(lines), lines[-1])

    def _heading(self, log: AttemptLogRead) -> Iterator[str]:
        if self._under == log.attempt:
            return
        heard = log.recorded_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        yield f"attempt {log.attempt}, replicate {log.replicate}, last heard {heard}"
        if log.omitted_lines and log.attempt not in self._last:
            yield f"  ({log.omitted_lines} lines before these are not kept)"
        self._under = log.attempt
