"""Commands about the files that studies train on."""

from pathlib import Path
from typing import Annotated

import typer

from paretune.command_groups import DATA
from paretune.command_options import Json, StateDir, Yes
from paretune.connection import server, server_that_runs
from paretune.console import insist, say, say_json, working

app = typer.Typer()


@app.command(rich_help_panel=DATA)
def upload(
    file: Annotated[Path, typer.Argument(help="A CSV, TSV, JSONL or Parquet file of texts and labels.")],
    name: Annotated[str | None, typer.Option(help="Its name on the server; its own if left out.")] = None,
    state_dir: StateDir = None,
) -> None:
    """Bring a file of rows to the server, for studies to train on."""
    with server(state_dir, trial_workers=0) as (client, _):
        with working(f"Sending {file}"):
            kept = client.upload_task_file(file, name=name)
        say(
            f"{kept.rows} rows with the columns {', '.join(kept.columns)}. In a study: name: file:{kept.name}"
        )


@app.command(rich_help_panel=DATA)
def files(as_json: Json = False, state_dir: StateDir = None) -> None:
    """List the files that you have uploaded for studies to train on."""
    with server_that_runs(state_dir) as client, working("Reading the list of files"):
        found = client.task_files()
    if as_json:
        say_json(found)
        return
    for file in found:
        say(f"file:{file.name}  {file.rows} rows, {file.bytes:,} bytes  {', '.join(file.columns)}")
    if not found:
        say("No file yet. Bring one: paretune upload FILE")


@app.command("delete-file", rich_help_panel=DATA)
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
