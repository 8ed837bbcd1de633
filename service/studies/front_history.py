"""Store the front of a study each time a result is accepted. Knows no state machine."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from api_schemas.events import EventType
from api_schemas.objectives import Objective, OutcomeConstraint
from api_schemas.trials import TrialState
from service.models import StoredFront, Study, Trial
from service.studies import pareto_front, repository
from service.studies.event_log import record_event


def store_front(session: Session, study: Study, trial: Trial) -> None:
    """Store the front that follows from a trial's new result, in the transaction that accepts it."""
    objectives = [Objective.model_validate(item) for item in study.objectives]
    constraints = [OutcomeConstraint.model_validate(item) for item in study.constraints]
    accepted = repository.trials_in(session, study.id, [TrialState.SUCCEEDED])
    feasible = [other for other in accepted if pareto_front.satisfies(constraints, other.metrics)]
    if study.reference_point is None:
        settled = pareto_front.reference_point(
            objectives, study.reference_defaults, [other.metrics for other in accepted]
        )
        study.reference_point = None if settled is None else list(settled)
    members = [
        feasible[position]
        for position in pareto_front.front_members(objectives, [other.metrics for other in feasible])
    ]
    study.hypervolume = _hypervolume(objectives, members, study.reference_point)
    study.front_sequence += 1
    session.add(
        StoredFront(
            study_id=study.id,
            sequence=study.front_sequence,
            trial_id=trial.id,
            member_trial_ids=[member.id for member in members],
            reference_point=study.reference_point,
            hypervolume=study.hypervolume,
        )
    )
    record_event(session, study, EventType.FRONT_STORED, trial=trial, sequence=study.front_sequence)


def _hypervolume(
    objectives: Sequence[Objective], members: Sequence[Trial], reference: Sequence[float] | None
) -> float | None:
    if reference is None:
        return None
    return pareto_front.hypervolume(
        objectives, [member.metrics for member in members], reference_point=reference
    )
