"""Write a study as an experiment of MLflow, one run for each trial that has begun."""

import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from sqlalchemy.exc import SQLAlchemyError

from api_schemas.studies import StudyRead
from api_schemas.trials import TERMINAL_TRIAL_STATES, TrialRead, TrialState
from paretune.bridge_progress import Progress, unwatched
from paretune.client import Client
from paretune.errors import BridgeError
from paretune.export import export_trial
from paretune.mlflow_bridge import runs

LONGEST_EXPERIMENT = 500
MOST_METRICS = 1000
MOST_OTHERS = 100
"""In one request to MLflow: parameters, and tags."""


@dataclass(frozen=True)
class MlflowExport:
    """What an export did: runs made, updated, or left as they were; queued trials have no run."""

    experiment: str
    created: int
    updated: int
    unchanged: int
    waiting: int


def export_study(
    client: Client,
    study_id: str,
    *,
    tracking_uri: str,
    experiment: str | None = None,
    with_artifacts: bool = False,
    on_progress: Progress = unwatched,
) -> MlflowExport:
    """Write the trials of a study that have begun; again, to bring their runs up to date.

    Args:
        client: Of the server that has the study.
        study_id: The study.
        tracking_uri: Of an MLflow server or database.
        experiment: Name of the experiment; the study's name and id if left out.
        with_artifacts: Whether to upload the folder that `paretune export` writes of a trial.
        on_progress: Called after each trial.

    Raises:
        BridgeError: If MLflow refuses, or has another experiment of that name.
        DamagedDownload: If a file does not have the recorded hash.
    """
    study = client.get_study(study_id)
    trials = list(client.trials(study_id))
    begun = [trial for trial in trials if trial.state is not TrialState.QUEUED]
    # No two studies share that name.
    name = f"{study.display_name} ({study.id})" if experiment is None else experiment
    try:
        store = MlflowClient(tracking_uri=tracking_uri)
        experiment_id = _experiment(store, study, name=name)
        known = {run.data.tags.get(runs.TRIAL_ID): run for run in _runs(store, experiment_id)}
        done: Counter[str] = Counter()
        for count, trial in enumerate(begun, start=1):
            run = known.get(trial.id)
            if run is None:
                run, what = _create_run(store, trial, experiment_id=experiment_id), "created"
            else:
                same = run.data.tags.get(runs.CONTENT) == runs.content_of(trial)
                what = "unchanged" if same else "updated"
            if what != "unchanged":
                _write(store, run, trial)
            if with_artifacts and trial.artifacts:
                _upload(client, store, run, study=study, trial=trial)
            done[what] += 1
            on_progress(count, len(begun))
    except (MlflowException, SQLAlchemyError) as error:
        raise BridgeError(f"MLflow refuses: {str(error).splitlines()[0]}") from error
    return MlflowExport(
        experiment=name,
        created=done["created"],
        updated=done["updated"],
        unchanged=done["unchanged"],
        waiting=len(trials) - len(begun),
    )


def _experiment(store: MlflowClient, study: StudyRead, *, name: str) -> str:
    """Find or make the experiment of a study; give its id."""
    if not 0 < len(name) <= LONGEST_EXPERIMENT:
        raise BridgeError(
            f"The name of an experiment has 1 to {LONGEST_EXPERIMENT} characters, this one {len(name)}."
        )
    found = store.get_experiment_by_name(name)
    if found is None:
        return str(store.create_experiment(name, tags={runs.STUDY_ID: study.id}))
    if found.lifecycle_stage != "active":
        raise BridgeError(
            f"The experiment {name!r} was deleted in MLflow. Restore it there, or take another --experiment."
        )
    if found.tags.get(runs.STUDY_ID) != study.id:
        raise BridgeError(
            f"MLflow has an experiment {name!r} that is not of {study.id}. Take another --experiment."
        )
    return str(found.experiment_id)


def _runs(store: MlflowClient, experiment_id: str) -> Iterator[Run]:
    page = store.search_runs([experiment_id])
    yield from page
    while page.token:
        page = store.search_runs([experiment_id], page_token=page.token)
        yield from page


def _create_run(store: MlflowClient, trial: TrialRead, *, experiment_id: str) -> Run:
    return store.create_run(
        experiment_id,
        start_time=runs.milliseconds(trial.started_at or trial.created_at),
        run_name=f"trial {trial.number}",
        tags={runs.STUDY_ID: trial.study_id, runs.TRIAL_ID: trial.id},
    )


def _write(store: MlflowClient, run: Run, trial: TrialRead) -> None:
    """Bring a run up to date. The hash of its content comes last: without it, all is written again."""
    run_id = run.info.run_id
    metrics = _new_metrics(store, run, trial)
    for start in range(0, len(metrics), MOST_METRICS):
        store.log_batch(run_id, metrics=metrics[start : start + MOST_METRICS])
    parameters = [Param(name, value) for name, value in runs.parameters_of(trial).items()]
    for start in range(0, len(parameters), MOST_OTHERS):
        store.log_batch(run_id, params=parameters[start : start + MOST_OTHERS])
    if trial.state in TERMINAL_TRIAL_STATES:
        end = runs.milliseconds(trial.finished_at or trial.created_at)
        store.set_terminated(run_id, status=runs.STATUS[trial.state], end_time=end)
    else:
        store.update_run(run_id, status=runs.STATUS[trial.state])
    tags = [RunTag(name, value) for name, value in runs.tags_of(trial).items()]
    tags.append(RunTag(runs.CONTENT, runs.content_of(trial)))
    for start in range(0, len(tags), MOST_OTHERS):
        store.log_batch(run_id, tags=tags[start : start + MOST_OTHERS])


def _new_metrics(store: MlflowClient, run: Run, trial: TrialRead) -> list[Metric]:
    """Return the numbers that a run lacks; of numbers at one step MLflow shows the latest."""
    shown = run.data.metrics
    moment = trial.finished_at or trial.created_at
    timestamp = round(time.time() * 1000) if shown else runs.milliseconds(moment)
    curves = list(runs.curves_of(trial))
    logged = {
        (name, item.step, item.value)
        for name in {name for name, _, _ in curves} & shown.keys()
        for item in store.get_metric_history(run.info.run_id, name)
    }
    return [
        *(
            Metric(name, value, timestamp, 0)
            for name, value in runs.metrics_of(trial).items()
            if shown.get(name) != value
        ),
        *(
            Metric(name, value, timestamp, step)
            for name, step, value in curves
            if (name, step, value) not in logged
        ),
    ]


def _upload(client: Client, store: MlflowClient, run: Run, *, study: StudyRead, trial: TrialRead) -> None:
    files = runs.artifacts_of(trial)
    if run.data.tags.get(runs.ARTIFACTS) == files:
        return
    with tempfile.TemporaryDirectory(prefix="paretune-") as folder:
        store.log_artifacts(run.info.run_id, str(export_trial(client, study, trial, folder=Path(folder))))
    store.set_tag(run.info.run_id, runs.ARTIFACTS, files)
