"""What a run of MLflow says about a trial. Pure: sends nothing."""

import hashlib
from collections.abc import Iterator, Mapping
from datetime import datetime

from api_schemas.trials import TrialRead, TrialState

STUDY_ID = "paretune.study_id"
TRIAL_ID = "paretune.trial_id"
CONTENT = "paretune.content"
"""Tag: hash of the trial as it was written; a trial that has the same need not be written again."""
ARTIFACTS = "paretune.artifacts"
"""Tag: hash of the hashes of the files that were uploaded."""

STATUS = {
    TrialState.RUNNING: "RUNNING",
    TrialState.SUCCEEDED: "FINISHED",
    TrialState.STOPPED_EARLY: "KILLED",
    TrialState.CANCELLED: "KILLED",
    TrialState.INFEASIBLE: "FAILED",
    TrialState.FAILED: "FAILED",
}

LONGEST_TAG = 5000
"""The least that MLflow's databases hold."""


def content_of(trial: TrialRead) -> str:
    """Return the same hash to trials of which a run says the same."""
    return _digest(trial.model_dump_json())


def artifacts_of(trial: TrialRead) -> str:
    """Return the same hash to trials with the same files."""
    return _digest("\n".join(sorted(f"{record.name} {record.sha256}" for record in trial.artifacts)))


def parameters_of(trial: TrialRead) -> dict[str, str]:
    """Return the parameters of a run."""
    return {name: str(value) for name, value in trial.parameters.items()}


def metrics_of(trial: TrialRead) -> dict[str, float]:
    """Return the numbers that a trial ended with."""
    return {
        **trial.metrics,
        **{f"test/{name}": value for name, value in trial.test_metrics.items()},
        **{f"standard_error/{name}": value for name, value in trial.metric_standard_errors.items()},
        **{f"test_standard_error/{name}": value for name, value in trial.test_metric_standard_errors.items()},
    }


def curves_of(trial: TrialRead) -> Iterator[tuple[str, int, float]]:
    """Yield metric, step and value of every measurement."""
    for measurement in trial.measurements:
        for name, value in measurement.metrics.items():
            yield f"curve/{name}", measurement.step, value


def tags_of(trial: TrialRead) -> dict[str, str]:
    """Return what is neither a parameter nor a number."""
    own: Mapping[str, object] = {
        "number": trial.number,
        "state": trial.state.value,
        "state_reason": trial.state_reason or "",
        "generated_by": trial.generated_by,
        "on_front": str(trial.on_front).lower(),
        "attempt": trial.attempt,
        "worker": trial.worker or "",
        "modules": trial.modules,
        **{f"sha256.{record.name}": record.sha256 for record in trial.artifacts},
        **{f"provenance.{name}": value for name, value in trial.provenance.items()},
    }
    tags = {f"paretune.{name}": str(value)[:LONGEST_TAG] for name, value in own.items()}
    return {STUDY_ID: trial.study_id, TRIAL_ID: trial.id, **tags}


def milliseconds(moment: datetime) -> int:
    """Return a time as MLflow keeps it."""
    return round(moment.timestamp() * 1000)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
