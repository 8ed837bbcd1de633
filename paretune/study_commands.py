"""Commands that bring studies to a server and follow them."""

from pathlib import Path
from typing import Annotated

import typer

from api_schemas.studies import StudyKind, StudyRead, StudyState
from paretune.client import Client
from paretune.client.asking import has_ended
from paretune.command_groups import STUDIES
from paretune.command_options import Json, Output, StateDir, StudyReference, TrialWorkers
from paretune.connection import known_server, server
from paretune.console import say, say_json, working
from paretune.finished_study import follow_to_the_end
from paretune.progress import resumable, where_it_stands
from paretune.study_file import lines_named, read_study_file
from paretune.study_reference import find_study
from paretune.task_file import with_task_file
from paretune.validation_report import validation_lines

app = typer.Typer()

StudyFile = Annotated[Path, typer.Argument(help="A study as YAML; `paretune init` writes one.")]


@app.command(rich_help_panel=STUDIES)
def validate(study_file: StudyFile, as_json: Json = False, state_dir: StateDir = None) -> None:
    """Check a study, and show what it comes to; nothing is stored."""
    study = read_study_file(study_file)
    with (
        server(state_dir, trial_workers=0) as (client, _),
        lines_named(study_file),
        working("Checking the study"),
    ):
        found = client.validate_study(with_task_file(client, study, study_file=study_file))
    if as_json:
        say_json(found)
        return
    for line in validation_lines(found):
        say(line)


@app.command(rich_help_panel=STUDIES)
def create(
    study_file: StudyFile,
    state_dir: StateDir = None,
) -> None:
    """Register a study and leave it to the server and its workers."""
    study = read_study_file(study_file)
    server_stays = known_server(state_dir) is not None
    with server(state_dir, trial_workers=0) as (client, _):
        with lines_named(study_file), working("Registering the study"):
            created = client.create_study(with_task_file(client, study, study_file=study_file))
        say(where_it_stands(created))
        if server_stays:
            say(f"Follow it with: paretune events {created.id} --follow")
        else:
            say(f"No server runs that would train it. Go on with: paretune resume {created.id}")


@app.command(rich_help_panel=STUDIES)
def run(
    study_file: StudyFile,
    state_dir: StateDir = None,
    trial_workers: TrialWorkers = 2,
    output: Output = Path("results"),
) -> None:
    """Run a study to its end, and take home the adapter that it recommends."""
    study = read_study_file(study_file)
    with server(state_dir, trial_workers) as (client, check):
        for other in client.studies():
            if other.state is StudyState.ACTIVE:
                say(f"Study {other.id} is still active on this server and goes on too.")
        with lines_named(study_file), working("Registering the study"):
            created = client.create_study(with_task_file(client, study, study_file=study_file))
        say(f"Study {created.id}: {created.budget.trials} trials.")
        _say_who_runs_trials(client, created)
        with resumable(created.id):
            follow_to_the_end(client, created.id, output=output, check=check)


@app.command(rich_help_panel=STUDIES)
def resume(
    reference: StudyReference,
    state_dir: StateDir = None,
    trial_workers: TrialWorkers = 2,
    output: Output = Path("results"),
) -> None:
    """Go on with a paused or interrupted study, to its end."""
    with server(state_dir, trial_workers) as (client, check):
        study_id = find_study(client, reference)
        study = client.get_study(study_id)
        if study.state is StudyState.PAUSED:
            client.resume(study_id)
        _say_who_runs_trials(client, study)
        with resumable(study_id):
            follow_to_the_end(client, study_id, output=output, check=check)


def _say_who_runs_trials(client: Client, study: StudyRead) -> None:
    if study.kind is StudyKind.CUSTOM and not has_ended(study):
        say(
            "The study is custom: a program of yours must run its trials.",
            f"  paretune agent {study.id} -- python train.py",
            "runs a script for each; or a program asks for them:",
            f'  Client("{client.base_url}", api_key=...).study("{study.id}").open_trials()',
            "The key is PARETUNE_API_KEY, or else in the file api_key of the state directory; "
            "docs/ask_and_tell.md has the whole program.",
        )
