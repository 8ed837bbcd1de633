"""The Pareto front of a study and its history as a client reads them. Reads; changes nothing."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from api_schemas.errors import FieldError
from api_schemas.objectives import Direction
from api_schemas.pareto import FrontBasis, HypervolumeHistory, ParetoFront, ParetoPoint
from api_schemas.trials import TrialState
from service.api.read_models.trials import is_collapsed, trial_configuration
from service.errors import InvalidRequest, NotFound
from service.storage import queries, typed_study
from service.storage.models import Replicate, StoredFront, Study, Trial
from service.trials import beliefs
from service.trials.beliefs import Belief

NOT_YET = "There is no model of this study's results yet: these are the measured ones."
EXACT = "The objectives of this study are taken as exact: what was measured is what is believed."


def pareto_front(
    session: Session, study: Study, by: FrontBasis | None = None, *, sequence: int | None = None
) -> ParetoFront:
    """Return the latest front, which is empty before the first result, or the one after so many results.

    Unless told otherwise, the believed one where metrics are noisy. The observed one stands in for it, with
    a reason, while nothing is believed yet. Former fronts are observed ones.

    Raises:
        InvalidRequest: If a former front is asked for as believed.
        NotFound: If the study has not had so many results.
    """
    if sequence is not None:
        return _former(session, study, by, sequence)
    noisy = beliefs.is_noisy(study)
    belief = beliefs.belief_of(session, study)
    wanted = by or (FrontBasis.BELIEVED if noisy else FrontBasis.OBSERVED)
    if belief is not None and wanted is FrontBasis.BELIEVED:
        return _believed(session, study, belief)
    observed = _observed(session, study, queries.latest_front(session, study), belief)
    if wanted is FrontBasis.OBSERVED:
        return observed
    return observed.model_copy(update={"reason": NOT_YET if noisy else EXACT})


def _former(session: Session, study: Study, by: FrontBasis | None, sequence: int) -> ParetoFront:
    if by is FrontBasis.BELIEVED:
        detail = "Only the newest belief is kept: leave `sequence` out, or ask `by=observed`."
        raise InvalidRequest(detail, errors=[FieldError(pointer="query:sequence", detail=detail)])
    front = session.get(StoredFront, (study.id, sequence))
    if front is None:
        raise NotFound(f"Study '{study.id}' has had {study.front_sequence} results, not {sequence}.")
    return _observed(session, study, front, beliefs.belief_of(session, study))


def _observed(
    session: Session, study: Study, front: StoredFront | None, belief: Belief | None
) -> ParetoFront:
    reference = front.reference_point if front else study.reference_point
    return ParetoFront(
        study_id=study.id,
        sequence=front.sequence if front else 0,
        objectives=typed_study.objectives(study),
        points=_points(
            session, study, front.member_trial_ids if front else [], belief, by=FrontBasis.OBSERVED
        ),
        reference_point=None if reference is None else tuple(reference),
        hypervolume=front.hypervolume if front else None,
        believed_sequence=None if belief is None else belief.sequence,
    )


def _believed(session: Session, study: Study, belief: Belief) -> ParetoFront:
    return ParetoFront(
        study_id=study.id,
        sequence=belief.sequence,
        objectives=typed_study.objectives(study),
        points=_points(session, study, belief.members, belief, by=FrontBasis.BELIEVED),
        reference_point=typed_study.reference_point(study),
        hypervolume=belief.hypervolume,
        by=FrontBasis.BELIEVED,
        believed_sequence=belief.sequence,
    )


def hypervolume_history(session: Session, study: Study) -> HypervolumeHistory:
    """Return the hypervolume after each accepted result."""
    # Validated at once: validating thousands of records one by one takes a third longer.
    records = [
        {"sequence": sequence, "trial_id": trial_id, "hypervolume": hypervolume, "recorded_at": recorded_at}
        for sequence, trial_id, hypervolume, recorded_at in queries.hypervolume_records(session, study.id)
    ]
    return HypervolumeHistory.model_validate({"study_id": study.id, "records": records})


def _points(
    session: Session, study: Study, member_ids: Sequence[str], belief: Belief | None, *, by: FrontBasis
) -> tuple[ParetoPoint, ...]:
    """Return the members, best first objective first."""
    members = queries.trials_by_id(session, member_ids)
    replicates = queries.replicates_of(session, [trial.id for trial in members])
    points = [_point(trial, replicates[trial.id], belief) for trial in members]
    first = typed_study.objectives(study)[0]
    points.sort(
        key=lambda point: (point.metric(first.metric, by), point.number),
        reverse=first.direction is Direction.MAXIMIZE,
    )
    return tuple(points)


def _point(trial: Trial, replicates: list[Replicate], belief: Belief | None) -> ParetoPoint:
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
        believed={} if belief is None else belief.trials.predictions(trial.id),
        front_probability=None if belief is None else belief.trials.front_probability(trial.id),
    )
