"""Commands that show what studies found and take it home."""

import json
from collections.abc import Callable
from datetime import UTC
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from api_schemas.events import EventRead
from api_schemas.studies import StudyRead
from api_schemas.trials import TrialRead
from paretune.client import Client
from paretune.client.asking import ENDING_EVENTS, has_ended
from paretune.command_groups import RESULTS
from paretune.command_options import Force, Json, Output, StateDir, StudyReference
from paretune.connection import server_that_runs
from paretune.console import console, explain, say, say_json, say_json_line, working
from paretune.errors import FileExists, ParetuneError
from paretune.export import check_new, export_trial, merge_exported, onnx_of_merged, opens_with
from paretune.front_report import front_table
from paretune.html_report import Report, report_page
from paretune.progress import studies_table, study_line, trials_table
from paretune.recommendation_report import recommendation_lines
from paretune.study_file import write_study_file
from paretune.study_reference import find_study, numbered_trial

app = typer.Typer()


@app.command(rich_help_panel=RESULTS)
def status(
    reference: Annotated[
        str | None,
        typer.Argument(
            metavar="STUDY",
            help="One study by id, beginning of one, display name or 'latest'; all of them if left out.",
        ),
    ] = None,
    as_json: Json = False,
    state_dir: StateDir = None,
) -> None:
    """Show your studies, or one study with its trials and its front."""
    with server_that_runs(state_dir) as client:
        if reference is None:
            with working("Reading the studies"):
                studies = list(client.studies())
            if as_json:
                say_json(studies)
                return
            if studies and console.is_terminal:
                console.print(studies_table(studies))
            else:
                say(*map(study_line, studies))
            if not studies:
                say("No study yet. Start one: paretune init FILE.csv, then paretune run study.yaml")
            return
        with working("Reading the study"):
            study_id = find_study(client, reference)
            study = client.get_study(study_id)
            trials = list(client.trials(study_id))
            front = client.pareto_front(study_id)
        if as_json:
            say_json({"study": study, "trials": trials, "pareto_front": front})
            return
        if console.is_terminal:
            console.print(studies_table([study]))
        else:
            say(study_line(study))
        console.print(trials_table(study, trials))
        if front.points:
            console.print(front_table(front, trials))


@app.command(rich_help_panel=RESULTS)
def recommend(
    reference: StudyReference,
    at_most: Annotated[list[str] | None, typer.Option(help="METRIC:NUMBER; may repeat.")] = None,
    at_least: Annotated[list[str] | None, typer.Option(help="METRIC:NUMBER; may repeat.")] = None,
    weights: Annotated[list[str] | None, typer.Option(help="OBJECTIVE:NUMBER; may repeat.")] = None,
    export_to: Annotated[
        Path | None, typer.Option("--export", help="Also write the trained trial and a study file there.")
    ] = None,
    force: Force = False,
    as_json: Json = False,
    state_dir: StateDir = None,
) -> None:
    """Choose one point of the front: the best within bounds, by weights, or else its knee."""
    with server_that_runs(state_dir) as client:
        study_id = find_study(client, reference)
        if export_to is not None:
            check_new(export_to, force=force)
        with working("Choosing a trial"):
            found = client.recommendation(
                study_id, at_most=at_most or (), at_least=at_least or (), weights=weights or ()
            )
        if as_json:
            say_json(found)
        else:
            explain(*recommendation_lines(found))
        if export_to is not None:
            if found.number is None or found.study_file is None:
                raise ParetuneError("Nothing was written: no trial is recommended. Choose one by bounds.")
            study = client.get_study(study_id)
            chosen = _choose(client, study, number=found.number)
            with working("Downloading the trained trial"):
                folder = export_trial(client, study, chosen, folder=export_to)
            written = write_study_file(found.study_file, folder / "study.yaml")
            if not as_json:
                say(f"Wrote {folder} and {written}")


@app.command(rich_help_panel=RESULTS)
def export(
    reference: StudyReference,
    trial: Annotated[
        int | None, typer.Option(help="Trial number; the front's best in the first objective if left out.")
    ] = None,
    output: Output = Path("adapter"),
    force: Force = False,
    merged: Annotated[
        bool, typer.Option(help="Also write the backbone with the trained change merged into it.")
    ] = False,
    onnx: Annotated[
        bool, typer.Option(help="Also write the merged backbone with its head as an ONNX graph.")
    ] = False,
    state_dir: StateDir = None,
) -> None:
    """Write a trained trial as a folder with weights, model card and a load.py."""
    with server_that_runs(state_dir) as client:
        study = client.get_study(find_study(client, reference))
        chosen = _choose(client, study, number=trial)
        check_new(output, force=force)
        with working("Downloading the trained trial"):
            written = export_trial(client, study, chosen, folder=output)
        say(f"Wrote {written}")
    if merged or onnx:
        with working("Merging it into its backbone"):
            folder = merge_exported(output)
        how = opens_with(folder)
        say(f"Wrote {folder}. {how}" if how else f"Wrote {folder}")
        if onnx:
            with working("Writing its graph and timing it"):
                written, times = onnx_of_merged(folder)
            say(f"Wrote {written}. {times}")


@app.command(rich_help_panel=RESULTS)
def importance(reference: StudyReference, as_json: Json = False, state_dir: StateDir = None) -> None:
    """Show which parameters matter to which objective."""
    with server_that_runs(state_dir) as client, working("Reading the study"):
        found = client.importance(find_study(client, reference))
    if as_json:
        say_json(found)
        return
    if not found.objectives:
        say(f"Nothing is known yet: {found.reason}.")
    for objective in found.objectives:
        table = Table("parameter", "total effect", title=f"{objective.metric}, {found.observations} results")
        for parameter in objective.parameters:
            table.add_row(parameter.name, f"{parameter.total_effect:.3f}")
        console.print(table)


@app.command(rich_help_panel=RESULTS)
def events(
    reference: StudyReference,
    after: Annotated[int, typer.Option(min=0, help="Begin after the event of this number.")] = 0,
    follow: Annotated[bool, typer.Option("--follow", help="Go on until the study has ended.")] = False,
    as_json: Json = False,
    state_dir: StateDir = None,
) -> None:
    """Show what has happened to a study, one event a line; with --json an object a line."""
    show = say_json_line if as_json else _say_event
    with server_that_runs(state_dir) as client:
        study_id = find_study(client, reference)
        last = after
        for event in client.past_events(study_id, after=after):
            show(event)
            last = event.sequence
        try:
            if follow and not has_ended(client.get_study(study_id)):
                _follow(client, study_id, after=last, show=show)
        except KeyboardInterrupt:
            raise typer.Exit(130) from None


@app.command(rich_help_panel=RESULTS)
def report(
    reference: StudyReference,
    output: Annotated[
        Path | None, typer.Option(help="The file to write; report-ID.html here if left out.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    state_dir: StateDir = None,
) -> None:
    """Write a study as one HTML page that needs no network."""
    with server_that_runs(state_dir) as client, working("Reading the study"):
        study = client.get_study(find_study(client, reference))
        target = output or Path(f"report-{study.id}.html")
        if target.exists() and not force:
            raise FileExists(f"{target} is there already. Name another --output, or give --force.")
        front = client.pareto_front(study.id)
        found = Report(
            study=study,
            trials=list(client.trials(study.id)),
            front=front,
            history=client.hypervolume_history(study.id),
            importance=client.importance(study.id),
            recommendation=client.recommendation(study.id) if front.points else None,
        )
    target.write_text(report_page(found), encoding="utf-8")
    say(f"Wrote {target}")


def _choose(client: Client, study: StudyRead, *, number: int | None) -> TrialRead:
    if number is None:
        front = client.pareto_front(study.id)
        if not front.points:
            raise ParetuneError(
                f"Study {study.id} has no front yet. Wait for a trial, or name one with --trial."
            )
        number = front.points[0].number  # best first
    return numbered_trial(client, study.id, number=number)


def _follow(client: Client, study_id: str, *, after: int, show: Callable[[EventRead], None]) -> None:
    for event in client.events(study_id, after=after):
        show(event)
        if event.type in ENDING_EVENTS and has_ended(client.get_study(study_id)):
            return


def _say_event(event: EventRead) -> None:
    moment = event.recorded_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    words = (f"{event.sequence:>6}  {moment}  {event.type:<20}", event.trial_id or "", _body(event))
    explain("  ".join(word for word in words if word).rstrip())


def _body(event: EventRead) -> str:
    return json.dumps(event.body, separators=(",", ":"), ensure_ascii=False) if event.body else ""
