"""Every state change of studies and trials. No SQL: queries are in `repository`.

Each function runs in the caller's transaction and holds the study's row lock while it changes
anything, so events are numbered, budgets are kept and fronts are stored without gaps. The machines:

    study   ACTIVE <-> PAUSED, both -> CANCELLING -> CANCELLED, ACTIVE | PAUSED -> SUCCEEDED | FAILED
    trial   QUEUED -> RUNNING -> SUCCEEDED | INFEASIBLE | FAILED | CANCELLED; RUNNING -> QUEUED again
            when its attempt is lost, released or failed and attempts remain; QUEUED -> CANCELLED
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import func
from sqlalchemy.orm import Session

from api_schemas.events import EventType
from api_schemas.objectives import Objective, OutcomeConstraint
from api_schemas.studies import StudyState
from api_schemas.trials import TERMINAL_TRIAL_STATES, Measurement, TrialReport, TrialState
from service.broker import ADVANCE_STUDY, RUN_TRIAL, WakeUp, wake_after_commit
from service.errors import StaleAttempt, WrongState
from service.ids import new_id
from service.models import Artifact, Event, StoredFront, Study, Trial, TrialMeasurement
from service.studies import pareto_front, repository

FAILURES_BEFORE_GIVING_UP = 3
"""A study whose first trials all fail this many times ends as FAILED instead of burning its budget."""

STUDY_TRANSITIONS: Mapping[StudyState, frozenset[StudyState]] = {
    StudyState.ACTIVE: frozenset(StudyState) - {StudyState.ACTIVE, StudyState.CANCELLED},
    StudyState.PAUSED: frozenset(StudyState) - {StudyState.PAUSED, StudyState.CANCELLED},
    StudyState.CANCELLING: frozenset({StudyState.CANCELLED}),
    StudyState.SUCCEEDED: frozenset(),
    StudyState.FAILED: frozenset(),
    StudyState.CANCELLED: frozenset(),
}

TRIAL_TRANSITIONS: Mapping[TrialState, frozenset[TrialState]] = {
    TrialState.QUEUED: frozenset({TrialState.RUNNING, TrialState.CANCELLED}),
    TrialState.RUNNING: (TERMINAL_TRIAL_STATES | {TrialState.QUEUED}) - {TrialState.STOPPED_EARLY},
    **{state: frozenset() for state in TERMINAL_TRIAL_STATES},
}

ENDED = {
    TrialState.SUCCEEDED: EventType.TRIAL_SUCCEEDED,
    TrialState.INFEASIBLE: EventType.TRIAL_INFEASIBLE,
    TrialState.FAILED: EventType.TRIAL_FAILED,
    TrialState.CANCELLED: EventType.TRIAL_CANCELLED,
}


def create_study(session: Session, study: Study) -> Study:
    """Store a new study and wake the study worker."""
    session.add(study)
    session.flush()
    record_event(session, study, EventType.STUDY_CREATED)
    wake_after_commit(session, WakeUp(ADVANCE_STUDY, (study.id,)))
    return study


def pause(session: Session, study: Study) -> Study:
    """Start nothing more until resumed; pausing a paused study changes nothing."""
    if study.state is not StudyState.PAUSED:
        _move_study(session, study, StudyState.PAUSED, EventType.STUDY_PAUSED)
    return study


def resume(session: Session, study: Study) -> Study:
    """Go on; resuming an active study changes nothing."""
    if study.state is not StudyState.ACTIVE:
        _move_study(session, study, StudyState.ACTIVE, EventType.STUDY_RESUMED)
        wake_after_commit(session, WakeUp(ADVANCE_STUDY, (study.id,)))
        for _ in repository.trials_in(session, study.id, [TrialState.QUEUED]):
            wake_after_commit(session, WakeUp(RUN_TRIAL))
    return study


def cancel(session: Session, study: Study) -> Study:
    """Drop what is queued, stop what runs at its next heartbeat; cancelling twice changes nothing."""
    if study.state in (StudyState.CANCELLING, StudyState.CANCELLED):
        return study
    _move_study(session, study, StudyState.CANCELLING, EventType.STUDY_CANCELLING)
    for trial in repository.trials_in(session, study.id, [TrialState.QUEUED]):
        _end_trial(session, study, trial, TrialState.CANCELLED, reason="the study was cancelled")
    _finish_if_done(session, study)
    return study


def add_trial(
    session: Session,
    study: Study,
    *,
    parameters: dict[str, Any],
    configuration: dict[str, Any],
    configuration_key: str,
    generated_by: str,
    proposal_seconds: float,
) -> Trial:
    """Queue a proposed trial of a study whose lock is held and whose budget allows it."""
    trial = Trial(
        id=new_id("trl"),
        study_id=study.id,
        number=study.trials_created,
        state=TrialState.QUEUED,
        parameters=parameters,
        configuration=configuration,
        configuration_key=configuration_key,
        generated_by=generated_by,
        proposal_seconds=proposal_seconds,
    )
    study.trials_created += 1
    session.add(trial)
    session.flush()
    record_event(session, study, EventType.TRIAL_QUEUED, trial=trial)
    wake_after_commit(session, WakeUp(RUN_TRIAL))
    return trial


def exhaust(session: Session, study: Study) -> None:
    """End a study whose space holds nothing new, once its last open trial has ended."""
    if not repository.trials_in(session, study.id, [TrialState.QUEUED, TrialState.RUNNING]):
        study.state_reason = "every configuration of the search space has been tried"
        _move_study(session, study, StudyState.SUCCEEDED, EventType.STUDY_SUCCEEDED)


def start_trial(session: Session, study: Study, trial: Trial, *, worker: str, lease_seconds: float) -> Trial:
    """Hand a queued trial to a worker: a new attempt with a lease."""
    _check_transition(TRIAL_TRANSITIONS, trial.state, TrialState.RUNNING)
    trial.state = TrialState.RUNNING
    trial.attempt += 1
    trial.worker = worker
    trial.started_at = func.clock_timestamp()
    trial.lease_expires_at = lease_end(lease_seconds)
    record_event(session, study, EventType.TRIAL_STARTED, trial=trial, worker=worker)
    return trial


def extend_lease(study: Study, trial: Trial, *, attempt: int, lease_seconds: float) -> bool:
    """Renew the lease of an attempt; say whether the worker should stop."""
    check_attempt(trial, attempt)
    trial.lease_expires_at = lease_end(lease_seconds)
    return study.state is StudyState.CANCELLING


def record_measurement(
    session: Session, study: Study, trial: Trial, *, attempt: int, measurement: Measurement
) -> None:
    """Store metrics of a running attempt at one step; the same step twice changes nothing."""
    check_attempt(trial, attempt)
    if session.get(TrialMeasurement, (trial.id, attempt, measurement.step)) is None:
        session.add(
            TrialMeasurement(
                trial_id=trial.id, attempt=attempt, step=measurement.step, metrics=measurement.metrics
            )
        )
        record_event(session, study, EventType.TRIAL_MEASURED, trial=trial, step=measurement.step)


def finish_trial(
    session: Session, study: Study, trial: Trial, *, attempt: int, report: TrialReport, max_attempts: int
) -> None:
    """Accept how an attempt ended. The same attempt reporting twice changes nothing.

    Raises:
        StaleAttempt: If another attempt owns the trial now.
    """
    if trial.attempt == attempt and trial.state in TERMINAL_TRIAL_STATES:
        return
    check_attempt(trial, attempt)
    report = _checked(study, report)
    if report.state is TrialState.FAILED and trial.lost_attempts + 1 < max_attempts:
        _requeue(session, study, trial, reason=report.reason or "the attempt failed", lost=True)
        return
    trial.metrics = report.metrics
    trial.test_metrics = report.test_metrics
    trial.provenance = report.provenance
    session.add_all(
        Artifact(
            trial_id=trial.id,
            name=record.name,
            path=record.path,
            sha256=record.sha256,
            size_bytes=record.size_bytes,
        )
        for record in report.artifacts
    )
    _end_trial(session, study, trial, report.state, reason=report.reason)
    if report.state is TrialState.SUCCEEDED:
        _store_front(session, study, trial)
    _finish_if_done(session, study)
    wake_after_commit(session, WakeUp(ADVANCE_STUDY, (study.id,)))


def release_trial(session: Session, study: Study, trial: Trial, *, attempt: int) -> None:
    """Take back a trial whose worker is asked to stop. It costs none of the trial's attempts."""
    check_attempt(trial, attempt)
    _requeue(session, study, trial, reason="its worker was stopped", lost=False)


def lose_trial(session: Session, study: Study, trial: Trial, *, max_attempts: int) -> None:
    """Take back a trial whose lease expired; fail it when it has lost its last worker."""
    if trial.lost_attempts + 1 < max_attempts or study.state is StudyState.CANCELLING:
        _requeue(session, study, trial, reason="its worker went silent", lost=True)
        return
    trial.lost_attempts += 1
    _end_trial(
        session, study, trial, TrialState.FAILED, reason=f"lost its worker {trial.lost_attempts} times"
    )
    _finish_if_done(session, study)
    wake_after_commit(session, WakeUp(ADVANCE_STUDY, (study.id,)))


def check_attempt(trial: Trial, attempt: int) -> None:
    """Refuse every write that does not come from the attempt that holds the lease.

    Raises:
        StaleAttempt: If the attempt is not the running one.
    """
    if trial.state is not TrialState.RUNNING or trial.attempt != attempt:
        raise StaleAttempt(
            f"Attempt {attempt} of trial '{trial.id}' is over: the trial is {trial.state} "
            f"at attempt {trial.attempt}. Drop this result."
        )


def record_event(
    session: Session, study: Study, type_: EventType, *, trial: Trial | None = None, **body: Any
) -> None:
    """Append an event under the study's lock, so that numbers have no gaps and keep the order of commits."""
    study.event_sequence += 1
    session.add(
        Event(
            study_id=study.id,
            sequence=study.event_sequence,
            type=type_,
            trial_id=trial.id if trial else None,
            attempt=trial.attempt if trial else None,
            body=body,
        )
    )


def lease_end(lease_seconds: float) -> Any:
    """Give the end of a lease that starts now, by the database's clock."""
    return func.clock_timestamp() + func.make_interval(0, 0, 0, 0, 0, 0, lease_seconds)


def _checked(study: Study, report: TrialReport) -> TrialReport:
    if report.state is not TrialState.SUCCEEDED:
        return report
    wanted = {item["metric"] for item in [*study.objectives, *study.constraints]}
    missing = sorted(wanted - set(report.metrics))
    if missing:
        reason = f"metrics-missing: the worker reported no {', '.join(missing)}"
        return report.model_copy(update={"state": TrialState.FAILED, "reason": reason})
    odd = sorted(name for name, value in report.metrics.items() if not math.isfinite(value))
    if odd:
        reason = f"not-a-number: {', '.join(odd)}"
        return TrialReport(state=TrialState.INFEASIBLE, reason=reason, provenance=report.provenance)
    return report


def _requeue(session: Session, study: Study, trial: Trial, *, reason: str, lost: bool) -> None:
    trial.lost_attempts += int(lost)
    if study.state is StudyState.CANCELLING:
        _end_trial(session, study, trial, TrialState.CANCELLED, reason="the study was cancelled")
        _finish_if_done(session, study)
        return
    _check_transition(TRIAL_TRANSITIONS, trial.state, TrialState.QUEUED)
    trial.state = TrialState.QUEUED
    trial.state_reason = reason
    trial.lease_expires_at = None
    record_event(session, study, EventType.TRIAL_REQUEUED, trial=trial, reason=reason)
    wake_after_commit(session, WakeUp(RUN_TRIAL))


def _end_trial(
    session: Session, study: Study, trial: Trial, state: TrialState, *, reason: str | None
) -> None:
    _check_transition(TRIAL_TRANSITIONS, trial.state, state)
    trial.state = state
    trial.state_reason = reason
    trial.lease_expires_at = None
    trial.finished_at = func.clock_timestamp()
    session.flush()
    record_event(session, study, ENDED[state], trial=trial, reason=reason)


def _store_front(session: Session, study: Study, trial: Trial) -> None:
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


def _finish_if_done(session: Session, study: Study) -> None:
    counts = repository.count_trials(session, [study.id])[study.id]
    if counts.queued or counts.running:
        return
    if study.state is StudyState.CANCELLING:
        _move_study(session, study, StudyState.CANCELLED, EventType.STUDY_CANCELLED)
    elif study.state in (StudyState.ACTIVE, StudyState.PAUSED):
        ended = sum(counts.model_dump().values())
        if counts.failed == ended >= min(FAILURES_BEFORE_GIVING_UP, study.trial_budget):
            study.state_reason = f"all of the first {ended} trials failed; see their reasons"
            _move_study(session, study, StudyState.FAILED, EventType.STUDY_FAILED)
        elif study.trials_created == study.trial_budget:
            _move_study(session, study, StudyState.SUCCEEDED, EventType.STUDY_SUCCEEDED)


def _move_study(session: Session, study: Study, to: StudyState, event: EventType) -> None:
    if to not in STUDY_TRANSITIONS[study.state]:
        raise WrongState(f"The study is {study.state}; from there it cannot become {to}.")
    study.state = to
    if to in (StudyState.SUCCEEDED, StudyState.FAILED, StudyState.CANCELLED):
        study.finished_at = func.clock_timestamp()
    session.flush()
    record_event(session, study, event, reason=study.state_reason)


def _check_transition(
    allowed: Mapping[TrialState, frozenset[TrialState]], current: TrialState, to: TrialState
) -> None:
    if to not in allowed[current]:
        raise WrongState(f"A trial that is {current} cannot become {to}.")
