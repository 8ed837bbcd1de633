"""The `paretune` command."""

import re
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from api_schemas.studies import StudyKind, StudyRead, StudyState
from api_schemas.trials import TrialRead
from paretune import admin_commands, api_commands, bridge_commands, operator_commands
from paretune.client import Client
from paretune.client.asking import has_ended
from paretune.command_options import StateDir, StudyReference, Yes
from paretune.connection import running_server, server, server_that_runs
from paretune.console import complain, console, insist, say
from paretune.errors import McpMissing, ParetuneError
from paretune.export import check_new, export_trial, merge_exported, onnx_of_merged, why_nothing
from paretune.front_report import compare_with_probe, front_table, write_front
from paretune.progress import budget_text, follow, proposer_text, resumable, stopped_text, trials_table
from paretune.recommendation_report import recommendation_lines
from paretune.study_file import lines_named, read_edits, read_study_file, write_study_file
from paretune.study_reference import find_study

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # what a user wrote may stand in its messages
    pretty_exceptions_enable=False,  # its frames show local variables, and those hold passwords
    help="Search PEFT configurations.",
)
app.add_typer(api_commands.app)
app.add_typer(admin_commands.app)
app.add_typer(bridge_commands.app)
app.add_typer(operator_commands.keys, name="keys")
app.add_typer(operator_commands.tenants, name="tenants")

StudyWorkers = Annotated[
    int, typer.Option(min=1, max=64, help="Study workers to start: more let more studies propose at once.")
]
TrialWorkers = Annotated[int, typer.Option(min=1, max=64, help="Trial workers to start.")]
Force = Annotated[bool, typer.Option("--force", help="Write into a folder that holds something, over it.")]
Output = Annotated[Path, typer.Option(help="Where results are written.")]


@app.command()
def up(
    state_dir: StateDir = None,
    trial_workers: TrialWorkers = 2,
    study_workers: StudyWorkers = 1,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8080,
) -> None:
    """Start the server with everything it needs, and keep it running until Ctrl-C."""
    from paretune.local import default_state_dir, serve

    serve(
        state_dir or default_state_dir(),
        trial_workers=trial_workers,
        study_workers=study_workers,
        host=host,
        port=port,
        say=say,
    )


@app.command()
def migrate() -> None:
    """Bring the database to this version's schema, and register PARETUNE_API_KEY if it is set."""
    from service.access.tenants import register_key, weakness
    from service.settings import settings
    from service.storage.database import engine, transaction
    from service.storage.schema_version import SchemaInUse, upgrade

    key = settings().bootstrap_api_key
    if key is not None and (reason := weakness(key.get_secret_value())):
        raise ParetuneError(reason)
    try:
        upgrade(engine())
    except SchemaInUse as error:
        raise ParetuneError(str(error)) from error
    if key is not None:
        with transaction() as session:
            registered = register_key(session, key.get_secret_value())
            if registered.revoked_at is not None:
                say(f"PARETUNE_API_KEY is the key {registered.id}, which was revoked. Set another one.")


@app.command()
def run(
    study_file: Annotated[Path, typer.Argument(help="A study as YAML; see examples/.")],
    state_dir: StateDir = None,
    trial_workers: TrialWorkers = 2,
    output: Output = Path("results"),
) -> None:
    """Run a study to its end and write its front, a plot and the best trained adapter."""
    study = read_study_file(study_file)
    with server(state_dir, trial_workers) as (client, check):
        for other in client.studies():
            if other.state is StudyState.ACTIVE:
                say(f"Study {other.id} is still active on this server and goes on too.")
        with lines_named(study_file):
            created = client.create_study(study)
        say(f"Study {created.id}: {created.budget.trials} trials.")
        _say_who_runs_trials(client, created)
        with resumable(created.id):
            _follow_to_the_end(client, created.id, output=output, check=check)


@app.command()
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
            _follow_to_the_end(client, study_id, output=output, check=check)


@app.command()
def extend(
    reference: StudyReference,
    trials: Annotated[int, typer.Option(min=1, help="How many trials to add to the budget.")],
    state_dir: StateDir = None,
) -> None:
    """Add trials to a study's budget, also after it has succeeded."""
    with server(state_dir, trial_workers=0) as (client, _):
        study_id = find_study(client, reference)
        study = client.extend(study_id, trials=trials)
        say(_study_line(study), f"Go on with: paretune resume {study.id}")


@app.command()
def clone(
    reference: StudyReference,
    edits: Annotated[
        Path | None, typer.Option(help="YAML of what differs: objects merge, null removes, lists replace.")
    ] = None,
    import_trials: Annotated[
        bool, typer.Option("--import-trials", help="Start from the results that fit the new study.")
    ] = False,
    state_dir: StateDir = None,
) -> None:
    """Register a study like another one."""
    changes = {} if edits is None else read_edits(edits)
    with server(state_dir, trial_workers=0) as (client, _):
        study_id = find_study(client, reference)
        with nullcontext() if edits is None else lines_named(edits, below="/edits"):
            study = client.clone(study_id, edits=changes, import_trials=import_trials)
        say(_study_line(study), f"{study.trials.imported} trials imported.")
        say(f"Go on with: paretune resume {study.id}")


@app.command()
def delete(reference: StudyReference, yes: Yes = False, state_dir: StateDir = None) -> None:
    """Delete an ended study, its trials and their files, for good."""
    with server(state_dir, trial_workers=0) as (client, _):
        study_id = find_study(client, reference)
        if not yes:
            say(_study_line(client.get_study(study_id)))
            insist("Delete this study, its trials and their files for good?")
        client.delete(study_id)
        say(f"Deleted {study_id}.")


@app.command()
def status(
    reference: Annotated[
        str | None,
        typer.Argument(
            metavar="STUDY",
            help="One study by id, beginning of one, display name or 'latest'; all of them if left out.",
        ),
    ] = None,
    state_dir: StateDir = None,
) -> None:
    """Show your studies, or one study with its trials and its front."""
    with server_that_runs(state_dir) as client:
        if reference is None:
            studies = list(client.studies())
            for study in studies:
                say(_study_line(study))
            if not studies:
                say("No study yet. Start one: paretune run examples/rotten-tomatoes.yaml")
            return
        study_id = find_study(client, reference)
        study = client.get_study(study_id)
        trials = list(client.trials(study_id))
        say(_study_line(study))
        console.print(trials_table(study, trials))
        front = client.pareto_front(study_id)
        if front.points:
            console.print(front_table(front, trials))


@app.command()
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
        say(f"Wrote {export_trial(client, study, chosen, folder=output)}")
    if merged or onnx:
        folder = merge_exported(output)
        say(f"Wrote {folder}")
        if onnx:
            say(f"Wrote {onnx_of_merged(folder)}")


@app.command()
def recommend(
    reference: StudyReference,
    at_most: Annotated[list[str] | None, typer.Option(help="METRIC:NUMBER; may repeat.")] = None,
    at_least: Annotated[list[str] | None, typer.Option(help="METRIC:NUMBER; may repeat.")] = None,
    weights: Annotated[list[str] | None, typer.Option(help="OBJECTIVE:NUMBER; may repeat.")] = None,
    export_to: Annotated[
        Path | None, typer.Option("--export", help="Also write the trained trial and a study file there.")
    ] = None,
    force: Force = False,
    state_dir: StateDir = None,
) -> None:
    """Choose one point of the front: the best within bounds, by weights, or else its knee."""
    with server_that_runs(state_dir) as client:
        study_id = find_study(client, reference)
        if export_to is not None:
            check_new(export_to, force=force)
        found = client.recommendation(
            study_id, at_most=at_most or (), at_least=at_least or (), weights=weights or ()
        )
        for line in recommendation_lines(found):
            say(line)
        if export_to is not None:
            if found.number is None or found.study_file is None:
                raise ParetuneError("Nothing was written: no trial is recommended. Choose one by bounds.")
            study = client.get_study(study_id)
            folder = export_trial(
                client, study, _choose(client, study, number=found.number), folder=export_to
            )
            say(f"Wrote {folder} and {write_study_file(found.study_file, folder / 'study.yaml')}")


@app.command()
def upload(
    file: Annotated[Path, typer.Argument(help="A CSV, TSV, JSONL or Parquet file of texts and labels.")],
    name: Annotated[str | None, typer.Option(help="Its name on the server; its own if left out.")] = None,
    state_dir: StateDir = None,
) -> None:
    """Bring a file of rows to the server, for studies to train on."""
    with server(state_dir, trial_workers=0) as (client, _):
        kept = client.upload_task_file(file, name=name)
        say(
            f"{kept.rows} rows with the columns {', '.join(kept.columns)}. In a study: name: file:{kept.name}"
        )


@app.command()
def mcp(state_dir: StateDir = None) -> None:
    """Let a language model use the server: speak the Model Context Protocol on stdin and stdout."""
    try:
        from paretune.mcp_server.server import serve
    except ModuleNotFoundError as error:
        raise McpMissing("This needs the SDK of the protocol: pip install 'paretune[mcp]'.") from error
    serve(lambda: running_server(state_dir))


def main() -> None:
    """Run the command; print what went wrong in a sentence, without a traceback."""
    try:
        app()
    except ParetuneError as error:
        complain(error)
        raise SystemExit(1) from error


def _say_who_runs_trials(client: Client, study: StudyRead) -> None:
    if study.kind is StudyKind.CUSTOM and not has_ended(study):
        say(
            "The study is custom: a program of yours must run its trials. It asks for them:",
            f'  Client("{client.base_url}", api_key=...).study("{study.id}").open_trials()',
            "The key is PARETUNE_API_KEY, or else in the file api_key of the state directory; "
            "docs/ask_and_tell.md has the whole program.",
        )


def _follow_to_the_end(client: Client, study_id: str, *, output: Path, check: Callable[[], None]) -> None:
    try:
        study = follow(client, study_id, console=console, between_polls=check)
    except KeyboardInterrupt:
        client.pause(study_id)
        say("", f"Paused; nothing is lost. Go on with: paretune resume {study_id}")
        raise typer.Exit(130) from None
    if study.state is StudyState.PAUSED:
        why = f": {study.state_reason}" if study.state_reason else ""
        say(f"The study is paused{why}. Go on with: paretune resume {study_id}")
        return
    say(f"{study.display_name}: {study.state}" + (f", {study.state_reason}" if study.state_reason else ""))
    _write_results(client, study, folder=output / _folder_name(study))
    if study.state is StudyState.FAILED:
        raise typer.Exit(1)


def _write_results(client: Client, study: StudyRead, *, folder: Path) -> None:
    trials = list(client.trials(study.id))
    front = client.pareto_front(study.id)
    if not front.points:
        say("No trial succeeded, so there is no front.")
        return
    console.print(front_table(front, trials))
    verdict = compare_with_probe(front, trials)
    if verdict is not None:
        say(verdict)
    for line in recommendation_lines(client.recommendation(study.id)):
        say(line)
    as_json, as_plot = write_front(front, trials, folder=folder)
    say(f"Front: {as_json}", f"Plot: {as_plot}")
    by_id = {trial.id: trial for trial in trials}
    _write_best(client, study, [by_id[point.trial_id] for point in front.points], folder=folder)


def _write_best(client: Client, study: StudyRead, best_first: Sequence[TrialRead], *, folder: Path) -> None:
    best = best_first[0]
    if best.configuration is None:
        say(f"Best trial: {best.number}, with {best.parameters}")
        return
    if not best.artifacts:
        say(why_nothing(study, best))
    trained = next((trial for trial in best_first if trial.artifacts), None)
    if trained is None:
        say("No trial of the front has weights here, so no adapter was written.")
        return
    adapter = export_trial(client, study, trained, folder=folder / f"trial-{trained.number}")
    say(f"Trained adapter: {adapter} (python {adapter}/load.py TEXT)")


def _choose(client: Client, study: StudyRead, *, number: int | None) -> TrialRead:
    trials = list(client.trials(study.id))
    if number is None:
        front = client.pareto_front(study.id)
        if not front.points:
            raise ParetuneError(
                f"Study {study.id} has no front yet. Wait for a trial, or name one with --trial."
            )
        number = front.points[0].number  # best first
    for trial in trials:
        if trial.number == number:
            return trial
    raise ParetuneError(f"Study {study.id} has no trial {number}; it has {len(trials)}, counted from 0.")


def _study_line(study: StudyRead) -> str:
    hypervolume = "-" if study.hypervolume is None else f"{study.hypervolume:.4f}"
    return (
        f"{study.id}  {study.state:<10}  {budget_text(study)}"
        f"{stopped_text(study)}  hypervolume {hypervolume}{proposer_text(study)}  {study.display_name}"
    )


def _folder_name(study: StudyRead) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", study.display_name.lower()).strip("-")[:40]
    return f"{slug or 'study'}-{study.id[-6:]}"


if __name__ == "__main__":
    main()
