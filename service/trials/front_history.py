"""Store the front of a study each time a result is accepted. Knows no state machine."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from api_schemas.events import EventType
from api_schemas.objectives import Objective
from api_schemas.trials import TrialState
from service.storage import queries, typed_study
from service.storage.event_log import record_event
from service.storage.models import StoredFront, Study, Trial
from service.trials import pareto_front
from service.trials.results import Result, members_of_front, results_before_reference, results_of

FROM_OBJECTIVES = 5
"""Of fewer, the whole volume of any front that we have measured is found in milliseconds."""


def store_front(session: Session, study: Study, trials: Sequence[Trial]) -> None:
    """Store the front that follows from new results, in the transaction that accepts them.

    `trials` are all whose result is new or has changed since the last front; the last names this one.
    """
    objectives = typed_study.objectives(study)
    if study.reference_point is None:
        settled = pareto_front.reference_point(
            objectives, study.reference_defaults, [result.metrics for result in results_of(session, study.id)]
        )
        study.reference_point = None if settled is None else list(settled)
    last = _last_members(session, study, trials)
    members = _members(session, study, objectives, trials, last=last)
    study.hypervolume = _hypervolume(session, study, objectives, members, last=last)
    study.front_sequence += 1
    session.add(
        StoredFront(
            study_id=study.id,
            sequence=study.front_sequence,
            trial_id=trials[-1].id,
            member_trial_ids=[member.trial_id for member in members],
            reference_point=study.reference_point,
            hypervolume=study.hypervolume,
        )
    )
    record_event(session, study, EventType.FRONT_STORED, trial=trials[-1], sequence=study.front_sequence)


def settle_anew(session: Session, study: Study, corrected: Trial) -> None:
    """Settle the reference point again if it was settled by a result that has been corrected since."""
    objectives = typed_study.objectives(study)
    if pareto_front.follows_from_objectives(objectives, study.reference_defaults):
        return
    settled_by = results_before_reference(session, study.id)
    if corrected.id not in settled_by:
        return
    known = [result.metrics for result in results_of(session, study.id) if result.trial_id in settled_by]
    settled = pareto_front.reference_point(objectives, study.reference_defaults, known)
    study.reference_point = None if settled is None else list(settled)


def _last_members(session: Session, study: Study, trials: Sequence[Trial]) -> list[Result] | None:
    """Return the members of the last front; None if there is none, or a member itself has changed."""
    with session.no_autoflush:
        members = members_of_front(session, study)
    changed = {trial.id for trial in trials} & {member.trial_id for member in members}
    return None if study.front_sequence == 0 or changed else members


def _members(
    session: Session,
    study: Study,
    objectives: Sequence[Objective],
    trials: Sequence[Trial],
    *,
    last: Sequence[Result] | None,
) -> list[Result]:
    feasible = [
        result
        for result in _candidates(session, study, trials, last=last)
        if pareto_front.satisfies(typed_study.constraints(study), result.metrics)
    ]
    positions = pareto_front.front_members(objectives, [result.metrics for result in feasible])
    return [feasible[position] for position in positions]


def _candidates(
    session: Session, study: Study, trials: Sequence[Trial], *, last: Sequence[Result] | None
) -> list[Result]:
    """Return, by number, the results among which the front is found: rarely all of them.

    What the last front dominated stays dominated, for domination is transitive, unless a member itself
    has become worse.
    """
    if last is None:
        return results_of(session, study.id)
    accepted = [
        Result(trial.id, trial.number, trial.metrics, trial.metric_standard_errors)
        for trial in trials
        if trial.state is TrialState.SUCCEEDED
    ]
    return sorted([*last, *accepted], key=lambda result: result.number)


def _hypervolume(
    session: Session,
    study: Study,
    objectives: Sequence[Objective],
    members: Sequence[Result],
    *,
    last: Sequence[Result] | None,
) -> float | None:
    """Return the volume of a front: where it takes long, that of the last one and what new members add."""
    reference, metrics = study.reference_point, [member.metrics for member in members]
    if reference is None:
        return None
    takes_long = len(objectives) >= FROM_OBJECTIVES
    before = queries.latest_front(session, study) if takes_long else None
    if last is None or before is None or before.hypervolume is None or before.reference_point != reference:
        return pareto_front.hypervolume(objectives, metrics, reference_point=reference)
    known = {member.trial_id for member in last}
    new = [member.metrics for member in members if member.trial_id not in known]
    return before.hypervolume + pareto_front.added_hypervolume(
        objectives, [member.metrics for member in last], new, reference_point=reference
    )
