"""Every state change of trials. No SQL: queries are in `service.storage.queries`.

Each function runs in the caller's transaction and holds the study's row lock while it changes
anything, so events are numbered, budgets are kept and fronts are stored without gaps. What a worker
leases is a replicate of a trial (`replication`); a trial follows its replicates, and a study its trials
(`study_lifecycle`). The machine:

    QUEUED -> RUNNING -> SUCCEEDED | INFEASIBLE | FAILED | STOPPED_EARLY | CANCELLED; RUNNING -> QUEUED
    again when it waits for a worker once more; QUEUED -> CANCELLED; QUEUED -> SUCCEEDED | INFEASIBLE with
    a known result; SUCCEEDED -> INFEASIBLE when one of its final seeds proves so
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import func
from sqlalchemy.orm import Session

from api_schemas.events import EventType
from api_schemas.studies import StudyKind, StudyState
from api_schemas.trials import TERMINAL_TRIAL_STATES, ArtifactRecord, Measurement, TrialReport, TrialState
from service.errors import StaleAttempt, WrongState
from service.storage import counters, queries
from service.storage.event_log import record_event, record_replicate_event
from service.storage.ids import new_id
from service.storage.models import Artifact, Replicate, Study, Trial, TrialMeasurement
from service.trials import early_stops, race_budget, replication, study_lifecycle
from service.trials.front_history import store_front
from service.trials.reported_metrics import checked, with_network_metrics
from service.trials.wake_ups import wake_study_worker, wake_trial_worker

CANCELLED_WITH_STUDY = "the study was cancelled"

TRIAL_TRANSITIONS: Mapping[TrialState, frozenset[TrialState]] = {
    TrialState.QUEUED: frozenset(
        {TrialState.RUNNING, TrialState.CANCELLED, TrialState.SUCCEEDED, TrialState.INFEASIBLE}
    ),
    TrialState.RUNNING: TERMINAL_TRIAL_STATES | {TrialState.QUEUED},
    **{state: frozenset() for state in TERMINAL_TRIAL_STATES},
    TrialState.SUCCEEDED: frozenset({TrialState.INFEASIBLE}),
}

ENDED = {
    TrialState.SUCCEEDED: EventType.TRIAL_SUCCEEDED,
    TrialState.INFEASIBLE: EventType.TRIAL_INFEASIBLE,
    TrialState.FAILED: EventType.TRIAL_FAILED,
    TrialState.STOPPED_EARLY: EventType.TRIAL_STOPPED_EARLY,
    TrialState.CANCELLED: EventType.TRIAL_CANCELLED,
}


def add_trial(session: Session, study: Study, *, further_seeds: int = 0, **columns: Any) -> Trial:
    """Queue the replicates of a proposed trial. The study's lock is held, its budget allows it.

    Each of the further seeds costs one trial of the budget, too.

    The columns are what was proposed, and how: `parameters`, `configuration`, `configuration_key`,
    `generated_by`, `proposal_seconds`, and, if there are any, `explanation` and `known_results`.
    """
    trial = Trial(
        id=new_id("trl"),
        study_id=study.id,
        number=queries.next_number(session, study.id),
        state=TrialState.QUEUED,
        replicates=[],
        **columns,
    )
    study.trials_created += 1 + further_seeds
    session.add(trial)
    session.flush()
    further = {"further_seeds": further_seeds} if further_seeds else {}
    record_event(session, study, EventType.TRIAL_QUEUED, trial=trial, **further)
    for number in range(study.replicates + further_seeds):
        replication.add_replicate(session, study, trial, number=number)
    return trial


def reuse_result(
    session: Session, study: Study, trial: Trial, *, source: Trial, results: Sequence[Replicate]
) -> None:
    """End a queued trial with the results and the artifacts of a trial of another study."""
    for replicate, known in zip(trial.replicates, results, strict=True):
        replication.reuse(session, study, replicate, known=known)
    artifacts = queries.artifacts_of(session, [source])[source.id]
    session.add_all(Artifact(trial_id=trial.id, **record.model_dump()) for record in artifacts)
    _after_replicate(session, study, trial, trial.replicates[0])


def repeat_trial(session: Session, study: Study, trial: Trial) -> None:
    """Queue a further seed of a trial that succeeded. It costs one trial of the study's budget."""
    study.trials_created += 1
    number = trial.replicates[-1].number + 1
    replicate = replication.add_replicate(session, study, trial, number=number)
    record_replicate_event(session, study, EventType.REPLICATE_QUEUED, replicate=replicate)


def start_trial(
    session: Session, study: Study, trial: Trial, *, worker: str, lease_seconds: float
) -> Replicate:
    """Hand the first queued replicate of a trial to a worker: a new attempt with a lease."""
    replicate = replication.next_queued(trial)
    if replicate is None:
        raise WrongState(f"Trial '{trial.id}' has nothing that waits for a worker.")
    trial.attempt += 1
    replication.start(
        session, study, replicate, attempt=trial.attempt, worker=worker, lease_seconds=lease_seconds
    )
    if trial.state is TrialState.QUEUED:
        _move_trial(trial, TrialState.RUNNING)
    if replicate.number == 0:
        trial.started_at = func.clock_timestamp()
    return replicate


def extend_lease(
    session: Session, study: Study, trial_id: str, *, attempt: int, lease_seconds: float
) -> bool:
    """Renew the lease of an attempt at its length. Return whether the worker should stop.

    Takes the study's lock only where the lease was over: a heartbeat must not wait behind a proposal that is
    being stored. `lease_seconds` is for a lease that does not know its length.

    Raises:
        StaleAttempt: If the trial is another attempt's, or cancelled; so do all functions that take one.
        NotFound: If the study has no such trial.
    """
    if replication.renewed(session, study, trial_id, attempt=attempt, lease_seconds=lease_seconds):
        replicates = queries.replicates_of(session, [trial_id])[trial_id]
    else:
        if queries.lock_study(session, study.id) is None:
            raise StaleAttempt(f"Trial '{trial_id}' is gone. Stop.")
        trial = queries.get_trial(session, study.id, trial_id, lock=True)
        active_replicate(session, study, trial, attempt=attempt)
        replicates = trial.replicates
    return not replication.is_wanted(study, replicates)


def active_replicate(
    session: Session, study: Study, trial: Trial, *, attempt: int, has_result: bool = False
) -> Replicate:
    """Return the replicate of an attempt that sends a message; every message of a worker starts with this.

    An attempt whose lease is over still has the trial until another one begins, and takes the lease up again.
    One that was given back does so only with a result: a late heartbeat would keep the trial from others.

    Raises:
        StaleAttempt: If another attempt has begun, or the trial was given back or is over.
    """
    replicate = replication.of_attempt(trial, attempt)
    waits = replicate is not None and replicate.state is TrialState.QUEUED
    if replicate is not None and waits and (replicate.worker is not None or has_result):
        replication.take_up(session, study, replicate)
        if trial.state is TrialState.QUEUED:
            _move_trial(trial, TrialState.RUNNING)
    if replicate is None or replicate.state is not TrialState.RUNNING:
        raise replication.stale(trial.id, attempt, replicate)
    return replicate


def record_measurement(
    session: Session, study: Study, trial: Trial, *, attempt: int, measurement: Measurement
) -> bool:
    """Store metrics of a running attempt at one step. Return whether the trial should stop there.

    The same step twice changes nothing and gets the same answer.
    """
    replicate = active_replicate(session, study, trial, attempt=attempt)
    known = session.get(TrialMeasurement, (trial.id, attempt, measurement.step))
    if known is not None:
        return early_stops.says_stop(known.metrics)
    counted = with_network_metrics(study, trial, measurement.metrics)
    measurement = measurement.model_copy(update={"metrics": counted})
    metrics = dict(counted)
    if replicate.number == 0:
        metrics |= early_stops.judge(session, study, replicate, measurement)
    row = TrialMeasurement(trial_id=trial.id, attempt=attempt, step=measurement.step, metrics=metrics)
    session.add(row)
    record_replicate_event(
        session, study, EventType.TRIAL_MEASURED, replicate=replicate, step=measurement.step
    )
    return early_stops.says_stop(metrics)


def finish_trial(
    session: Session, study: Study, trial: Trial, *, attempt: int, report: TrialReport, max_attempts: int
) -> None:
    """Accept how an attempt ended. The same attempt reporting twice changes nothing."""
    known = replication.of_attempt(trial, attempt)
    if known is not None and known.state in TERMINAL_TRIAL_STATES:
        return
    if known is not None and known.state is TrialState.QUEUED and report.state is TrialState.FAILED:
        return  # lost or reported before: it waits for its next attempt
    replicate = active_replicate(session, study, trial, attempt=attempt, has_result=True)
    counters.count_trial_seconds(session, replicate)
    if report.state is TrialState.STOPPED_EARLY:
        report = early_stops.explain_stop(session, replicate, report)
    report = checked(study, trial, report)
    if report.state is TrialState.FAILED and replicate.lost_attempts + 1 < max_attempts:
        replicate.worker = None
        _give_back(session, study, trial, replicate, reason=report.reason or "the attempt failed", lost=True)
        return
    replication.end(session, study, replicate, report.state, reason=report.reason, report=report)
    replication.keep_artifacts(session, replicate, report.artifacts)
    _after_replicate(session, study, trial, replicate)


def release_trial(
    session: Session,
    study: Study,
    trial: Trial,
    *,
    attempt: int,
    reason: str = "its worker was stopped",
    checkpoint: Sequence[ArtifactRecord] = (),
) -> None:
    """Take back a trial that its worker does not finish. It costs none of the trial's attempts.

    The checkpoint is kept if the trial is not tried again. An expired lease has been taken back already.
    """
    known = replication.of_attempt(trial, attempt)
    if known is not None and known.state is TrialState.QUEUED:
        return
    replicate = replication.held(trial, attempt)
    if not replication.is_wanted(study, trial.replicates):
        replication.keep_artifacts(session, replicate, checkpoint)
    replicate.worker = None
    _give_back(session, study, trial, replicate, reason=reason, lost=False)


def lose_trial(session: Session, study: Study, trial: Trial, *, attempt: int, max_attempts: int) -> None:
    """Take back an attempt whose lease expired; fail it when that was the last it had."""
    replicate = replication.held(trial, attempt)
    if replicate.lost_attempts + 1 < max_attempts or study.state is StudyState.CANCELLING:
        _give_back(session, study, trial, replicate, reason="its worker went silent", lost=True)
        return
    replicate.lost_attempts += 1
    reason = f"{replication.LOST} {replicate.lost_attempts} times"
    replication.end(session, study, replicate, TrialState.FAILED, reason=reason)
    _after_replicate(session, study, trial, replicate)


def _give_back(
    session: Session, study: Study, trial: Trial, replicate: Replicate, *, reason: str, lost: bool
) -> None:
    replicate.lost_attempts += int(lost)
    if not replication.is_wanted(study, trial.replicates):
        reason = CANCELLED_WITH_STUDY if study.state is StudyState.CANCELLING else "its trial is decided"
        replication.end(session, study, replicate, TrialState.CANCELLED, reason=reason)
        _after_replicate(session, study, trial, replicate)
        return
    replication.requeue(session, study, replicate, reason=reason)
    if trial.state is TrialState.RUNNING:
        trial.state_reason = reason
        follow_replicates(session, study, trial)
    else:
        # A final seed whose trial has left the front meanwhile is not tried again.
        study_lifecycle.finish_if_done(session, study)


def _after_replicate(session: Session, study: Study, trial: Trial, replicate: Replicate) -> None:
    if trial.state in TERMINAL_TRIAL_STATES:
        _accept_final_replicate(session, study, trial, replicate)
    else:
        follow_replicates(session, study, trial)
    may_be_done = trial.state is TrialState.FAILED or race_budget.is_spent(study)
    if study.state is StudyState.CANCELLING or may_be_done:
        study_lifecycle.finish_if_done(session, study)
    # The parallelism of the study may have allowed no trial at their own wake-ups.
    if study.kind != StudyKind.CUSTOM and queries.open_replicates(session, study.id).queued:
        wake_trial_worker(session, study)
    wake_study_worker(session, study)


def follow_replicates(session: Session, study: Study, trial: Trial) -> None:
    """Bring a trial into the state that its replicates add up to."""
    replicates = trial.replicates
    if replication.decided(replicates):
        replication.cancel_queued(session, study, replicates, reason="its trial is decided")
    states = {replicate.state for replicate in replicates}
    if TrialState.RUNNING in states:
        return
    if TrialState.QUEUED in states:
        if trial.state is TrialState.RUNNING:
            _move_trial(trial, TrialState.QUEUED)
        return
    deciding = replication.deciding(replicates)
    replication.average(trial, replicates)
    end_trial(session, study, trial, deciding.state, reason=deciding.state_reason)
    if deciding.state is TrialState.SUCCEEDED:
        store_front(session, study, [trial])


def _accept_final_replicate(session: Session, study: Study, trial: Trial, replicate: Replicate) -> None:
    if trial.state is not TrialState.SUCCEEDED:
        return
    replicates = trial.replicates
    if replicate.state is TrialState.INFEASIBLE:
        replication.cancel_queued(session, study, replicates, reason="its trial is decided")
        end_trial(session, study, trial, TrialState.INFEASIBLE, reason=replicate.state_reason)
        store_front(session, study, [trial])
    elif replicate.state is TrialState.SUCCEEDED:
        replication.average(trial, replicates)
        session.flush()
        store_front(session, study, [trial])


def end_trial(session: Session, study: Study, trial: Trial, state: TrialState, *, reason: str | None) -> None:
    """Bring a trial to an end."""
    _move_trial(trial, state)
    trial.state_reason = reason
    trial.finished_at = func.clock_timestamp()
    record_event(session, study, ENDED[state], trial=trial, reason=reason)


def _move_trial(trial: Trial, to: TrialState) -> None:
    if to not in TRIAL_TRANSITIONS[trial.state]:
        raise WrongState(f"A trial that is {trial.state} cannot become {to}.")
    trial.state = to
