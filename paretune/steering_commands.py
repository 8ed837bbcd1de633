"""Commands that steer studies which a server has: pause, cancel, extend, clone, update, delete."""

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from api_schemas.studies import EarlyStopping
from api_schemas.study_changes import ProposalsUpdate, StudyUpdate
from paretune.client import Client
from paretune.command_groups import STUDIES
from paretune.command_options import StateDir, StudyReference, Yes
from paretune.connection import server
from paretune.console import insist, say
from paretune.progress import study_line, where_it_stands
from paretune.study_file import lines_named, read_edits
from paretune.study_reference import find_study

app = typer.Typer()


@app.command(rich_help_panel=STUDIES)
def pause(reference: StudyReference, state_dir: StateDir = None) -> None:
    """Start no more trials of a study; running ones come to their end."""
    with server(state_dir, trial_workers=0) as (client, _):
        study_id = find_study(client, reference)
        say(where_it_stands(client.pause(study_id)), f"Go on with: paretune resume {study_id}")


@app.command(rich_help_panel=STUDIES)
def cancel(reference: StudyReference, yes: Yes = False, state_dir: StateDir = None) -> None:
    """End a study for good; running trials are stopped, results stay."""
    with server(state_dir, trial_workers=0) as (client, _):
        study_id = find_study(client, reference)
        if not yes:
            _insist_for(client, study_id, "End this study for good, and stop its running trials?")
        say(where_it_stands(client.cancel(study_id)))


@app.command(rich_help_panel=STUDIES)
def extend(
    reference: StudyReference,
    trials: Annotated[int, typer.Option(min=1, help="How many trials to add to the budget.")],
    state_dir: StateDir = None,
) -> None:
    """Add trials to a study's budget, also after it has succeeded."""
    with server(state_dir, trial_workers=0) as (client, _):
        study_id = find_study(client, reference)
        study = client.extend(study_id, trials=trials)
        say(study_line(study), f"Go on with: paretune resume {study.id}")


@app.command(rich_help_panel=STUDIES)
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
        say(study_line(study), f"{study.trials.imported} trials imported.")
        say(f"Go on with: paretune resume {study.id}")


@app.command(rich_help_panel=STUDIES)
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
            where_it_stands(study),
            f"Parallelism {study.parallelism}, early stopping {study.early_stopping}, "
            f"{study.proposals.ahead} ahead.",
        )


@app.command(rich_help_panel=STUDIES)
def delete(reference: StudyReference, yes: Yes = False, state_dir: StateDir = None) -> None:
    """Delete an ended study, its trials and their files, for good."""
    with server(state_dir, trial_workers=0) as (client, _):
        study_id = find_study(client, reference)
        if not yes:
            _insist_for(client, study_id, "Delete this study, its trials and their files for good?")
        client.delete(study_id)
        say(f"Deleted {study_id}.")


def _insist_for(client: Client, study_id: str, question: str) -> None:
    """Ask about a study that the person sees before the question."""
    say(study_line(client.get_study(study_id)))
    insist(question)
