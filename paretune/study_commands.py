"""Commands that bring studies to a server and follow them."""

from pathlib import Path
from typing import Annotated

import typer

from api_schemas.studies import StudyKind, StudyRead, StudyState
from api_schemas.tasks import TaskKind
from paretune.client import Client
from paretune.client.asking import has_ended
from paretune.command_groups import STUDIES
from paretune.command_options import Json, Output, StateDir, StudyReference, TrialWorkers
from paretune.connection import known_server, server, server_that_runs
from paretune.console import explain, note, say, say_json, working
from paretune.file_errors import check_writable
from paretune.finished_study import follow_to_the_end
from paretune.progress import resumable, where_it_stands
from paretune.study_file import lines_named, read_study_file
from paretune.study_reference import find_study
from paretune.task_file import checked_study, with_task_file
from paretune.validation_report import validation_lines

app = typer.Typer()

StudyFile = Annotated[Path, typer.Argument(help="A study as YAML; `paretune init` writes one.")]


@app.command(rich_help_panel=STUDIES)
def init(
    file: Annotated[Path, typer.Argument(help="A CSV, TSV, JSONL or Parquet file of texts and labels.")],
    text: Annotated[str | None, typer.Option(help="The column of the texts.")] = None,
    label: Annotated[str | None, typer.Option(help="The column of the labels.")] = None,
    kind: Annotated[TaskKind | None, typer.Option(help="What the labels are.")] = None,
    missing_label: Annotated[
        list[str] | None,
        typer.Option(help='A label that means that there is none, such as NA; several times; "": none does.'),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="The study file to write; study.yaml beside the rows if left out.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Take what is guessed; do not ask.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
) -> None:
    """Look at a file of rows, and write a study on it."""
    from paretune.first_study import write_first_study

    written = write_first_study(
        file,
        text=text,
        label=label,
        kind=kind,
        missing_labels=missing_label,
        output=output,
        ask=not yes,
        force=force,
    )
    say(f"Wrote {written}. Next: paretune validate {written}; paretune run {written}")


@app.command(rich_help_panel=STUDIES)
def validate(study_file: StudyFile, as_json: Json = False, state_dir: StateDir = None) -> None:
    """Check a study, and show what it comes to; nothing is stored."""
    study = read_study_file(study_file)
    with (
        server(state_dir, trial_workers=0) as (client, _),
        lines_named(study_file),
        working("Checking the study"),
    ):
        found = checked_study(client, study, study_file=study_file)
    if as_json:
        say_json(found)
        return
    explain(*validation_lines(found))


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
    trial_workers: TrialWorkers = None,
    output: Output = Path("results"),
) -> None:
    """Run a study to its end, and take home the adapter that it recommends."""
    study = read_study_file(study_file)
    check_writable(output)
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
    trial_workers: TrialWorkers = None,
    output: Output = Path("results"),
) -> None:
    """Go on with a paused or interrupted study, to its end; write the results of one that has ended."""
    check_writable(output)
    with server(state_dir, trial_workers) as (client, check):
        study_id = find_study(client, reference)
        study = client.get_study(study_id)
        if study.state is StudyState.PAUSED:
            client.resume(study_id)
        _say_who_runs_trials(client, study)
        with resumable(study_id):
            follow_to_the_end(client, study_id, output=output, check=check)


@app.command(rich_help_panel=STUDIES)
def agent(
    reference: StudyReference,
    command: Annotated[
        list[str],
        typer.Argument(help="After --: a script of yours; {arguments} becomes --NAME=VALUE of each."),
    ],
    state_dir: StateDir = None,
) -> None:
    """Run the trials of a custom study with a script of yours, until the study has ended.

    The script finds its parameters in the JSON file that PARETUNE_PARAMETERS names, as
    PARETUNE_PARAMETER_NAME, or in its arguments, where the command has {arguments} or {NAME}. It
    writes its metrics as a JSON object to the file that PARETUNE_METRICS names, or prints it last.
    """
    from paretune.agent import run_agent
    from paretune.interruption import interruptible

    with server_that_runs(state_dir) as client, interruptible():
        study_id = find_study(client, reference)
        try:
            ran = run_agent(client, study_id, command, show=say, tell=note)
        except KeyboardInterrupt:
            note("Interrupted; a trial that was running was given back.")
            raise typer.Exit(130) from None
        say(f"Study {study_id} is {client.get_study(study_id).state}: {ran} trials were run here.")


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
