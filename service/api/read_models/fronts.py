"""The Pareto front of a study and its history as a client reads them. Reads; changes nothing."""

from sqlalchemy.orm import Session

from api_schemas.objectives import Direction
from api_schemas.pareto import HypervolumeHistory, ParetoFront, ParetoPoint
from api_schemas.trials import TrialState
from service.api.read_models.trials import is_collapsed, trial_configuration
from service.storage import queries, typed_study
from service.storage.models import Replicate, Study, Trial


def pareto_front(session: Session, study: Study) -> ParetoFront:
    """Return the latest front; it is empty before the first result."""
    objectives = typed_study.objectives(study)
    front = queries.latest_front(session, study)
    members = queries.trials_by_id(session, front.member_trial_ids) if front else []
    first = objectives[0]
    members.sort(
        key=lambda trial: (trial.metrics[first.metric], trial.number),
        reverse=first.direction is Direction.MAXIMIZE,
    )
    reference = front.reference_point if front else study.reference_point
    replicates = queries.replicates_of(session, [trial.id for trial in members])
    return ParetoFront(
        study_id=study.id,
        sequence=front.sequence if front else 0,
        objectives=objectives,
        points=tuple(_point(trial, replicates[trial.id]) for trial in members),
        reference_point=None if reference is None else tuple(reference),
        hypervolume=front.hypervolume if front else None,
    )


def hypervolume_history(session: Session, study: Study) -> HypervolumeHistory:
    """Return the hypervolume after each accepted result."""
    # Validated at once: validating thousands of records one by one takes a third longer.
    records = [
        {"sequence": sequence, "trial_id": trial_id, "hypervolume": hypervolume, "recorded_at": recorded_at}
        for sequence, trial_id, hypervolume, recorded_at in queries.hypervolume_records(session, study.id)
    ]
    return HypervolumeHistory.model_validate({"study_id": study.id, "records": records})


def _point(trial: Trial, replicates: list[Replicate]) -> ParetoPoint:
    configuration = trial_configuration(trial)
    return ParetoPoint(
        trial_id=trial.id,
        number=trial.number,
        metrics=trial.metrics,
        test_metrics=trial.test_metrics,
        metric_standard_errors=trial.metric_standard_errors,
        test_metric_standard_errors=trial.test_metric_standard_errors,
        seeds=sum(replicate.state is TrialState.SUCCEEDED for replicate in replicates),
        collapsed=is_collapsed(trial),
        parameters=trial.parameters,
        is_head_only=configuration is not None and configuration.is_head_only,
    )
