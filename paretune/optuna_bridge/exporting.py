"""Write a study into an Optuna storage, so that a sampler of Optuna can go on from it."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import DuplicatedStudyError, ExperimentalWarning
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

from api_schemas.studies import StudyRead
from api_schemas.trials import TERMINAL_TRIAL_STATES, TrialRead, TrialState
from paretune.bridge_progress import Progress, unwatched
from paretune.client import Client
from paretune.errors import BridgeError
from paretune.optuna_bridge.names import (
    INFEASIBLE,
    REASON,
    STUDY,
    STUDY_ID,
    TRIAL_ID,
    ExportedStudy,
    constraint_key,
    violation,
)
from paretune.optuna_bridge.spaces import distribution_of
from paretune.optuna_bridge.storage import open_storage

LONGEST_STUDY_NAME = 512
"""Of Optuna's databases."""

STATES = {
    TrialState.SUCCEEDED: OptunaState.COMPLETE,
    TrialState.INFEASIBLE: OptunaState.PRUNED,
    TrialState.STOPPED_EARLY: OptunaState.PRUNED,
    TrialState.FAILED: OptunaState.FAIL,
    TrialState.CANCELLED: OptunaState.FAIL,
}
"""INFEASIBLE trials break the constraint `INFEASIBLE` besides, from which TPE learns to stay away."""


@dataclass(frozen=True)
class OptunaExport:
    """What an export did: trials written now, trials there from an earlier one, trials not ended yet."""

    name: str
    added: int
    already_there: int
    not_ended: int


def export_study(
    client: Client,
    study_id: str,
    *,
    storage: str | BaseStorage,
    name: str | None = None,
    on_progress: Progress = unwatched,
) -> OptunaExport:
    """Write the ended trials of a study into an Optuna study; again, to add those that ended since.

    Args:
        client: Of the server that has the study.
        study_id: The study.
        storage: An Optuna storage, the URL of one, or the path of a journal file; made if need be.
        name: Of the Optuna study; the study's id if left out.
        on_progress: Called after each trial.

    Raises:
        BridgeError: If there is another study of that name, or Optuna cannot hold this one.
    """
    study = client.get_study(study_id)
    trials = list(client.trials(study_id))
    ended = [trial for trial in trials if trial.state in TERMINAL_TRIAL_STATES]
    # Refused before anything is written.
    distributions = {
        parameter.name: distribution_of(parameter) for parameter in study.search_space.parameters
    }
    target = _open_study(study, storage=storage, name=study.id if name is None else name)
    there = {trial.user_attrs.get(TRIAL_ID) for trial in target.get_trials(deepcopy=False)}
    missing = [trial for trial in ended if trial.id not in there]
    for done, trial in enumerate(missing, start=1):
        target.add_trial(_frozen_trial(study, trial, distributions))
        on_progress(done, len(missing))
    return OptunaExport(
        name=target.study_name,
        added=len(missing),
        already_there=len(ended) - len(missing),
        not_ended=len(trials) - len(ended),
    )


def _open_study(study: StudyRead, *, storage: str | BaseStorage, name: str) -> optuna.Study:
    if not 0 < len(name) <= LONGEST_STUDY_NAME:
        raise BridgeError(
            f"The name of an Optuna study has 1 to {LONGEST_STUDY_NAME} characters, this one {len(name)}."
        )
    opened = open_storage(storage, must_exist=False)
    try:
        target = optuna.create_study(
            study_name=name,
            storage=opened,
            directions=[objective.direction.value for objective in study.objectives],
        )
    except DuplicatedStudyError as error:
        target = optuna.load_study(study_name=name, storage=opened)
        if target.user_attrs.get(STUDY_ID) != study.id:
            raise BridgeError(
                f"The storage has a study {name!r} that is no export of {study.id}. Take another --name."
            ) from error
        return target
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        target.set_metric_names([objective.metric for objective in study.objectives])
    exported = ExportedStudy(
        search_space=study.search_space, objectives=study.objectives, constraints=study.constraints
    )
    target.set_user_attr(STUDY, exported.model_dump(mode="json", by_alias=True))
    target.set_user_attr("paretune:display_name", study.display_name)
    target.set_user_attr(STUDY_ID, study.id)
    return target


def _frozen_trial(
    study: StudyRead, trial: TrialRead, distributions: Mapping[str, BaseDistribution]
) -> FrozenTrial:
    succeeded = trial.state is TrialState.SUCCEEDED
    frozen = optuna.create_trial(
        state=STATES[trial.state],
        values=[trial.metrics[item.metric] for item in study.objectives] if succeeded else None,
        params=dict(trial.parameters),
        distributions={name: distributions[name] for name in trial.parameters},
        user_attrs=_attributes(study, trial),
        intermediate_values=_intermediate_values(study, trial),
        constraints=_constraints(study, trial),
    )
    frozen.datetime_start = _local(trial.started_at or trial.created_at)
    frozen.datetime_complete = _local(trial.finished_at or trial.created_at)
    return frozen


def _constraints(study: StudyRead, trial: TrialRead) -> dict[str, float]:
    if trial.state is TrialState.INFEASIBLE:
        return {INFEASIBLE: 1.0}
    if trial.state is not TrialState.SUCCEEDED:
        return {}
    return {constraint_key(item): violation(item, trial.metrics[item.metric]) for item in study.constraints}


def _intermediate_values(study: StudyRead, trial: TrialRead) -> dict[int, float]:
    """Return the curve of a single objective; Optuna has none for several, and its samplers count on that."""
    if len(study.objectives) > 1:
        return {}
    metric = study.objectives[0].metric
    return {item.step: item.metrics[metric] for item in trial.measurements if metric in item.metrics}


def _attributes(study: StudyRead, trial: TrialRead) -> dict[str, Any]:
    """Collect what Optuna has no place for: other metrics by their names, the rest under `paretune:`."""
    weighed = {objective.metric for objective in study.objectives}
    own = {
        "number": trial.number,
        "state": trial.state.value,
        "generated_by": trial.generated_by,
        "test_metrics": trial.test_metrics,
        "metric_standard_errors": trial.metric_standard_errors,
        "measurements": [item.model_dump(mode="json") for item in trial.measurements],
        "artifacts": {record.name: record.sha256 for record in trial.artifacts},
    }
    others = {name: value for name, value in trial.metrics.items() if name not in weighed}
    return {
        **(others if trial.state is TrialState.SUCCEEDED else {}),
        TRIAL_ID: trial.id,
        **({REASON: trial.state_reason} if trial.state_reason else {}),
        **{f"paretune:{name}": value for name, value in own.items() if value or value == 0},
    }


def _local(moment: datetime) -> datetime:
    """Return a time as Optuna keeps it: local, without a zone."""
    return moment.astimezone().replace(tzinfo=None)
