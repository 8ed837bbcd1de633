"""Commands that are a call or two of the API each."""

import json
from contextlib import suppress
from datetime import UTC
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from api_schemas.events import EventRead
from api_schemas.studies import EarlyStopping, StudyRead
from api_schemas.study_changes import ProposalsUpdate, StudyUpdate
from paretune.client import Client
from paretune.client.asking import ENDING_EVENTS, has_ended
from paretune.command_options import StateDir, StudyReference, Yes
from paretune.connection import known_server, server, server_that_runs
from paretune.console import console, insist, say
from paretune.progress import budget_text
from paretune.study_file import lines_named, read_study_file
from paretune.study_reference import find_study

app = typer.Typer()


@app.command()
def create(
    study_file: Annotated[Path, typer.Argument(help="A study as YAML; see examples/.")],
    state_dir: StateDir = None,
) -> None:
    """Register a study and leave it to the server and its workers."""
    study = read_study_file(study_file)
    server_stays = known_server(state_dir) is not None
    with server(state_dir, trial_workers=0) as (client, _):
        with lines_named(study_file):
            created = client.create_study(study)
        say(_where(created))
        if server_stays:
            say(f"Follow it with: paretune events {created.id} --follow")
        else:
            say(f"No server runs that would train it. Go on with: paretune resume {created.id}")


@app.command()
def pause(reference: StudyReference, state_dir: StateDir = None) -> None:
    """Start no more trials of a study; running ones come to their end."""
    with server(state_dir, trial_workers=0) as (client, _):
        study_id = find_study(client, reference)
        say(_where(client.pause(study_id)), f"Go on with: paretune resume {study_id}")


@app.command()
def cancel(reference: StudyReference, state_dir: StateDir = None) -> None:
    """End a study for good; running trials are stopped, results stay."""
    with server(state_dir, trial_workers=0) as (client, _):
        study_id = find_study(client, reference)
        say(_where(client.cancel(study_id)))


@app.command()
def update(
    reference: StudyReference,
    display_name: Annotated[str | None, typer.Option(min=1, max=200)] = None,
    parallelism: Annotated[
        int | None, typer.Option(min=1, max=1024, help="How many trials run at once.")
    ] = None,
    early_stopping: Annotated[EarlyStopping | None, typer.Option()] = None,
    ahead: Annotated[
        int | None, typer.Option(min=0, max=1024, help="How many trials to queue beyond that.")
    ] = None,
    state_dir: StateDir = None,
) -> None:
    """Change settings of a study; what is not named stays. For its budget there is `extend`."""
    changes = StudyUpdate(
        display_name=display_name,
        parallelism=parallelism,
        early_stopping=early_stopping,
        proposals=None if ahead is None else ProposalsUpdate(ahead=ahead),
    )
    with server(state_dir, trial_workers=0) as (client, _):
        study_id = find_study(client, reference)
        study = client.update(study_id, changes)
        say(
            _where(study),
            f"Parallelism {study.parallelism}, early stopping {study.early_stopping}, "
            f"{study.proposals.ahead} ahead.",
        )


@app.command()
def events(
    reference: StudyReference,
    after: Annotated[int, typer.Option(min=0, help="Begin after the event of this number.")] = 0,
    follow: Annotated[bool, typer.Option("--follow", help="Go on until the study has ended.")] = False,
    state_dir: StateDir = None,
) -> None:
    """Show what has happened to a study, one event a line."""
    with server_that_runs(state_dir) as client, suppress(KeyboardInterrupt):
        study_id = find_study(client, reference)
        last = after
        for event in client.past_events(study_id, after=after):
            say(_event_line(event))
            last = event.sequence
        if follow and not has_ended(client.get_study(study_id)):
            _follow(client, study_id, after=last)


@app.command()
def importance(reference: StudyReference, state_dir: StateDir = None) -> None:
    """Show which parameters matter to which objective."""
    with server_that_runs(state_dir) as client:
        found = client.importance(find_study(client, reference))
    if not found.objectives:
        say(f"Nothing is known yet: {found.reason}.")
    for objective in found.objectives:
        table = Table("parameter", "total effect", title=f"{objective.metric}, {found.observations} results")
        for parameter in objective.parameters:
            table.add_row(parameter.name, f"{parameter.total_effect:.3f}")
        console.print(table)


@app.command()
def files(state_dir: StateDir = None) -> None:
    """List the files that you have uploaded for studies to train on."""
    with server_that_runs(state_dir) as client:
        found = client.task_files()
    for file in found:
        say(f"file:{file.name}  {file.rows} rows, {file.bytes:,} bytes  {', '.join(file.columns)}")
    if not found:
        say("No file yet. Bring one: paretune upload FILE")


@app.command(name="delete-file")
def delete_file(
    name: Annotated[str, typer.Argument(help="As `paretune files` lists it, with or without 'file:'.")],
    yes: Yes = False,
    state_dir: StateDir = None,
) -> None:
    """Delete a file that you have uploaded; no study that has not ended may train on it."""
    short = name.removeprefix("file:")
    if not yes:
        insist(f"Delete the uploaded file {short} for good?")
    with server(state_dir, trial_workers=0) as (client, _):
        client.delete_task_file(short)
    say(f"Deleted {short}.")


def _follow(client: Client, study_id: str, *, after: int) -> None:
    for event in client.events(study_id, after=after):
        say(_event_line(event))
        if event.type in ENDING_EVENTS and has_ended(client.get_study(study_id)):
            return


def _event_line(event: EventRead) -> str:
    moment = event.recorded_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    words = (f"{event.sequence:>6}  {moment}  {event.type:<20}", event.trial_id or "", _body(event))
    return "  ".join(word for word in words if word).rstrip()


def _body(event: EventRead) -> str:
    return json.dumps(event.body, separators=(",", ":"), ensure_ascii=False) if event.body else ""


def _where(study: StudyRead) -> str:
    return f"{study.id}  {study.state}  {budget_text(study)}  {study.display_name}"
