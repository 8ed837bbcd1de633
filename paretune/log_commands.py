"""The command that shows what a trial has said while it ran."""

import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC
from typing import Annotated

import typer

from api_schemas.trial_logs import AttemptLogRead
from api_schemas.trials import TERMINAL_TRIAL_STATES
from paretune.command_groups import RESULTS
from paretune.command_options import Json, StateDir, StudyReference
from paretune.connection import server_that_runs
from paretune.console import say, say_json, working
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
    """Show the last lines that each attempt at a trial has said: steps, warnings, what broke it."""
    with server_that_runs(state_dir) as client, suppress(KeyboardInterrupt):
        with working("Reading the study"):
            trial = numbered_trial(client, find_study(client, reference), number=number)
            found = client.trial_logs(trial.study_id, trial.id)
        if as_json:
            say_json(found)
            return
        shown: dict[int, int] = {}
        say(*_news(found.logs, shown))
        if not found.logs and not follow:
            say("Nothing was said yet." if trial.state not in TERMINAL_TRIAL_STATES else "Nothing was said.")
        while follow and trial.state not in TERMINAL_TRIAL_STATES:
            time.sleep(POLL_SECONDS)
            # In this order: what a trial says last is there before it ends.
            trial = client.get_trial(trial.study_id, trial.id)
            say(*_news(client.trial_logs(trial.study_id, trial.id).logs, shown))


def _news(found: tuple[AttemptLogRead, ...], shown: dict[int, int]) -> Iterator[str]:
    """Yield the lines that were not shown yet; `shown` has the number of the last one of each attempt."""
    for log in found:
        lines = log.text.split("\n")
        last = log.omitted_lines + len(lines)
        known = shown.get(log.attempt)
        if known is None:
            heard = log.recorded_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
            yield f"attempt {log.attempt}, replicate {log.replicate}, last heard {heard}"
            if log.omitted_lines:
                yield f"  ({log.omitted_lines} lines before these are not kept)"
        yield from (f"  {line}" for line in lines[max(0, (known or 0) - log.omitted_lines) :])
        shown[log.attempt] = max(last, known or 0)
