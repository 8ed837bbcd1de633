"""`paretune import-optuna`, `export-optuna` and `export-mlflow`: studies into other tools, and from one."""

from typing import Annotated

import typer

from paretune.bridge_progress import watched
from paretune.command_groups import DATA
from paretune.command_options import StateDir, StudyReference
from paretune.connection import server, server_that_runs
from paretune.console import console, say
from paretune.study_reference import find_study

app = typer.Typer()

Storage = Annotated[
    str,
    typer.Argument(
        help="URL of a database (sqlite:///study.db, postgresql://...) or of Redis, or path of a journal."
    ),
]


@app.command("import-optuna", rich_help_panel=DATA)
def import_optuna(
    storage: Storage,
    name: Annotated[str, typer.Argument(help="Name of the Optuna study.")],
    into: Annotated[
        str | None, typer.Option(help="The study that takes the results; a new custom one if left out.")
    ] = None,
    trials: Annotated[int, typer.Option(min=1, help="Budget of a new study, beside the past results.")] = 20,
    state_dir: StateDir = None,
) -> None:
    """Give a study the results of an Optuna study; importing twice adds nothing twice."""
    from paretune.optuna_bridge.importing import import_study

    with server(state_dir, 0) as (client, _), watched(console, "observations") as on_progress:
        taking = None if into is None else find_study(client, into)
        done = import_study(
            client, name, storage=storage, into=taking, budget=trials, on_progress=on_progress
        )
    say(f"Study {done.study.id}: {done.imported} trials imported, {done.already_known} known already.")
    if done.repeats:
        say(f"Repeats of the same parameters: {done.repeats}; each set counts once, with the mean.")
    for line in (*done.left_out, *done.notes):
        say(line)


@app.command("export-optuna", rich_help_panel=DATA)
def export_optuna(
    reference: StudyReference,
    storage: Storage,
    name: Annotated[str | None, typer.Option(help="Name of the Optuna study; the id if left out.")] = None,
    state_dir: StateDir = None,
) -> None:
    """Write a study's ended trials into an Optuna storage; run it again to add those that ended since."""
    from paretune.optuna_bridge.exporting import export_study

    with server_that_runs(state_dir) as client, watched(console, "trials") as on_progress:
        done = export_study(
            client, find_study(client, reference), storage=storage, name=name, on_progress=on_progress
        )
    say(
        f"Optuna study {done.name}: {done.added} trials written, {done.already_there} there already, "
        f"{done.not_ended} not ended yet."
    )


@app.command("export-mlflow", rich_help_panel=DATA)
def export_mlflow(
    reference: StudyReference,
    tracking_uri: Annotated[
        str,
        typer.Option(
            envvar="MLFLOW_TRACKING_URI", help="Of a tracking server, or of a database: sqlite:///mlflow.db"
        ),
    ],
    experiment: Annotated[
        str | None, typer.Option(help="Name of the experiment; the study's name and id if left out.")
    ] = None,
    artifacts: Annotated[
        bool, typer.Option("--artifacts", help="Also upload what each trial trained, ready to load.")
    ] = False,
    state_dir: StateDir = None,
) -> None:
    """Write a study as an experiment of MLflow, a run for each trial; run it again to update them."""
    from paretune.mlflow_bridge.exporting import export_study

    with server_that_runs(state_dir) as client, watched(console, "trials") as on_progress:
        done = export_study(
            client,
            find_study(client, reference),
            tracking_uri=tracking_uri,
            experiment=experiment,
            with_artifacts=artifacts,
            on_progress=on_progress,
        )
    say(
        f"MLflow experiment {done.experiment}: {done.created} runs made, {done.updated} updated, "
        f"{done.unchanged} as they were, {done.waiting} trials wait in the queue."
    )
