"""Between the database and the optimiser: trials as observations, with what is known of their noise."""

from collections.abc import Mapping, Sequence

from sqlalchemy.orm import Session

from api_schemas.objectives import SCORE_STANDARD_ERROR, Metric
from api_schemas.studies import StudyKind
from api_schemas.trials import TrialState
from service.optimization.problem import Observation
from service.storage import queries
from service.storage.models import Study, Trial
from service.trials import early_stops


def observations_of(session: Session, study: Study, trials: Sequence[Trial]) -> tuple[Observation, ...]:
    """Return what the optimiser learns from trials that teach something."""
    several = any(trial.metric_standard_errors for trial in trials)
    seeds = queries.seeds_of(session, study.id) if several else {}
    # In a custom study the name of a metric means nothing.
    ours = study.kind != StudyKind.CUSTOM
    return tuple(_observation(trial, seeds=seeds.get(trial.id, 1), ours=ours) for trial in trials)


def _observation(trial: Trial, *, seeds: int, ours: bool) -> Observation:
    if trial.state not in (TrialState.SUCCEEDED, TrialState.STOPPED_EARLY):
        return Observation(trial.parameters, None, key=trial.configuration_key)
    stopped = trial.state is TrialState.STOPPED_EARLY
    return Observation(
        trial.parameters,
        early_stops.metrics_to_learn(trial),
        standard_errors=None if stopped else trial.metric_standard_errors or None,
        key=trial.configuration_key,
        seeds=1 if stopped else seeds,
        row_errors=_of_score(trial, SCORE_STANDARD_ERROR) if ours else None,
        prediction_errors=_of_score(trial, early_stops.PREDICTED_DEVIATION) if stopped else None,
    )


def _of_score(trial: Trial, error: str) -> Mapping[str, float] | None:
    return {Metric.SCORE: trial.metrics[error]} if error in trial.metrics else None
