"""Every state change of replicates: a trial's configuration with one seed, which is what a worker leases.

Each function runs in the caller's transaction under the study's row lock, as those of `lifecycle`
do, which alone turns the states of replicates into the state of their trial. The machine:

    QUEUED -> RUNNING -> SUCCEEDED | INFEASIBLE | FAILED | STOPPED_EARLY | CANCELLED; RUNNING -> QUEUED
    again when its attempt is lost, released or failed and attempts remain; QUEUED -> CANCELLED when its
    result is no longer wanted; CANCELLED -> QUEUED when its trial is back on the front, or proves undecided;
    QUEUED -> SUCCEEDED | INFEASIBLE with a result that is known from elsewhere; QUEUED -> RUNNING, too, when
    its last attempt reports after its lease has ended, and no other one has begun
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import func, update
from sqlalchemy.orm import Session

from api_schemas.events import EventType
from api_schemas.studies import StudyState
from api_schemas.trials import ArtifactRecord, TrialReport, TrialState
from service.errors import StaleAttempt, WrongState
from service.settings import settings
from service.storage import queries
from service.storage.clock import from_now
from service.storage.event_log import record_replicate_event
from service.storage.models import Artifact, Replicate, Study, Trial
from service.trials import replicate_statistics
from service.trials.wake_ups import wake_trial_worker

LOST = "lost its worker"
"""How the reason begins when a replicate is given up because its workers fell silent."""

SEEDS = 2**31
"""Training seeds are below this; larger ones wrap around to zero."""

REPLICATE_TRANSITIONS: Mapping[TrialState, frozenset[TrialState]] = {
    TrialState.QUEUED: frozenset(
        {TrialState.RUNNING, TrialState.CANCELLED, TrialState.SUCCEEDED, TrialState.INFEASIBLE}
    ),
    TrialState.RUNNING: frozenset(TrialState) - {TrialState.RUNNING},
    TrialState.SUCCEEDED: frozenset(),
    TrialState.INFEASIBLE: frozenset(),
    TrialState.FAILED: frozenset(),
    TrialState.STOPPED_EARLY: frozenset(),
    TrialState.CANCELLED: frozenset({TrialState.QUEUED}),
}


def add_replicate(session: Session, study: Study, trial: Trial, *, number: int) -> Replicate:
    """Queue a trial's configuration with its seed plus `number`."""
    replicate = Replicate(
        trial_id=trial.id,
        number=number,
        study_id=study.id,
        seed=(first_seed(study, trial.configuration) + number) % SEEDS,
        state=TrialState.QUEUED,
    )
    trial.replicates.append(replicate)
    session.flush()
    wake_trial_worker(session, study)
    return replicate


def start(
    session: Session,
    study: Study,
    replicate: Replicate,
    *,
    attempt: int,
    worker: str,
    lease_seconds: float,
) -> None:
    """Hand a queued replicate to a worker, with a lease under a new attempt of its trial."""
    _move(replicate, TrialState.RUNNING)
    replicate.attempt = attempt
    replicate.worker = worker
    replicate.started_at = func.clock_timestamp()
    lease(replicate, lease_seconds=lease_seconds)
    record_replicate_event(session, study, EventType.TRIAL_STARTED, replicate=replicate, worker=worker)


def of_attempt(trial: Trial, attempt: int) -> Replicate | None:
    """Return the replicate that an attempt is or was at; None if a later one took it over."""
    return next((replicate for replicate in trial.replicates if replicate.attempt == attempt), None)


def next_queued(trial: Trial) -> Replicate | None:
    """Return the first replicate of a trial that waits for a worker."""
    return next((item for item in trial.replicates if item.state is TrialState.QUEUED), None)


def held(trial: Trial, attempt: int) -> Replicate:
    """Return the replicate that an attempt holds the lease of.

    Raises:
        StaleAttempt: If the attempt is not a running one.
    """
    replicate = of_attempt(trial, attempt)
    if replicate is None or replicate.state is not TrialState.RUNNING:
        raise stale(trial.id, attempt, replicate)
    return replicate


def stale(trial_id: str, attempt: int, replicate: Replicate | None) -> StaleAttempt:
    """Return the error for a message of an attempt that is over; `replicate` is what it was the last of."""
    over = f"Attempt {attempt} of trial '{trial_id}' is over"
    if replicate is None:
        return StaleAttempt(f"{over}: another attempt has the trial. Drop this result.")
    if replicate.state is TrialState.QUEUED:
        return StaleAttempt(f"{over}: the trial waits for a worker again. Ask for it.")
    why = f" ({replicate.state_reason})" if replicate.state_reason else ""
    return StaleAttempt(f"{over}: it is {replicate.state}{why}. Nothing was stored.")


def renewed(session: Session, study: Study, trial_id: str, *, attempt: int, lease_seconds: float) -> bool:
    """Renew the lease of a running attempt at its own length. Return whether there is one.

    `lease_seconds` is for a lease that a version without lengths began.
    """
    length = func.coalesce(Replicate.lease_seconds, lease_seconds)
    running = (Replicate.trial_id == trial_id) & (Replicate.attempt == attempt)
    running &= Replicate.study_id == study.id
    renewals = session.execute(
        update(Replicate)
        .where(running, Replicate.state == TrialState.RUNNING)
        .values(lease_expires_at=from_now(length))
        .returning(Replicate.trial_id)
        .execution_options(synchronize_session=False)
    )
    return renewals.first() is not None


def take_up(session: Session, study: Study, replicate: Replicate) -> None:
    """Resume the last attempt of a queued replicate, with a lease of the same length."""
    _move(replicate, TrialState.RUNNING)
    lease(replicate, lease_seconds=replicate.lease_seconds or settings().lease_seconds)
    session.flush()
    record_replicate_event(
        session, study, EventType.TRIAL_RESUMED, replicate=replicate, worker=replicate.worker
    )


def is_wanted(study: Study, replicates: Sequence[Replicate]) -> bool:
    """Return whether those of a trial that run should go on, or their results change nothing any more."""
    return study.state is not StudyState.CANCELLING and not decided(replicates)


def decided(replicates: Sequence[Replicate]) -> bool:
    """Return whether a trial's end is known before all of its replicates have ended.

    One infeasible seed makes the configuration infeasible. Without replicate 0 there is no artifact;
    where it was stopped early, so is the trial.
    """
    return any(
        replicate.state is TrialState.INFEASIBLE
        or (replicate.number == 0 and replicate.state in (TrialState.FAILED, TrialState.STOPPED_EARLY))
        for replicate in replicates
    )


def deciding(replicates: Sequence[Replicate]) -> Replicate:
    """Return, once all have ended, the replicate whose state and reason are those of its trial."""
    by_state = {replicate.state: replicate for replicate in reversed(replicates)}
    if TrialState.INFEASIBLE in by_state:
        return by_state[TrialState.INFEASIBLE]
    first = replicates[0]
    if first.state in (TrialState.FAILED, TrialState.STOPPED_EARLY):
        return first
    return by_state.get(TrialState.CANCELLED, first)


def average(trial: Trial, replicates: Sequence[Replicate]) -> None:
    """Set a trial's metrics to the means over those of its replicates that succeeded."""
    accepted = [replicate for replicate in replicates if replicate.state is TrialState.SUCCEEDED]
    validation = [replicate.metrics for replicate in accepted]
    test = [replicate.test_metrics for replicate in accepted]
    trial.metrics = replicate_statistics.means(validation)
    trial.test_metrics = replicate_statistics.means(test)
    trial.metric_standard_errors = replicate_statistics.standard_errors(validation)
    trial.test_metric_standard_errors = replicate_statistics.standard_errors(test)
    if replicates[0].state is TrialState.STOPPED_EARLY:
        trial.metrics = replicates[0].metrics


def requeue(session: Session, study: Study, replicate: Replicate, *, reason: str) -> None:
    """Queue a replicate again, to be trained from its start."""
    _move(replicate, TrialState.QUEUED)
    replicate.state_reason = reason
    replicate.lease_expires_at = None
    record_replicate_event(session, study, EventType.TRIAL_REQUEUED, replicate=replicate, reason=reason)
    wake_trial_worker(session, study)


def end(
    session: Session,
    study: Study,
    replicate: Replicate,
    state: TrialState,
    *,
    reason: str | None,
    report: TrialReport | None = None,
) -> None:
    """End a replicate, with what its attempt reported if it reported anything."""
    _move(replicate, state)
    replicate.state_reason = reason
    replicate.lease_expires_at = None
    replicate.finished_at = func.clock_timestamp()
    if report is not None:
        replicate.metrics = report.metrics
        replicate.test_metrics = report.test_metrics
        replicate.provenance = report.provenance
    record_replicate_event(
        session, study, EventType.REPLICATE_ENDED, replicate=replicate, state=state, reason=reason
    )


def keep_artifacts(session: Session, replicate: Replicate, records: Sequence[ArtifactRecord]) -> None:
    """Keep the files of a trial's first seed.

    Never those of the best one: choosing among seeds would flatter the score.
    """
    if replicate.number == 0:
        session.add_all(Artifact(trial_id=replicate.trial_id, **record.model_dump()) for record in records)


def reuse(session: Session, study: Study, replicate: Replicate, *, known: Replicate) -> None:
    """End a queued replicate with what the same seed yielded in another study."""
    report = TrialReport(
        state=TrialState.SUCCEEDED,
        metrics=known.metrics,
        test_metrics=known.test_metrics,
        # A result that was itself reused names the trial that trained.
        provenance={"reused_from": known.trial_id, **known.provenance},
    )
    reason = f"its result is that of trial '{report.provenance['reused_from']}'"
    end(session, study, replicate, TrialState.SUCCEEDED, reason=reason, report=report)


def cancel_queued(session: Session, study: Study, replicates: Sequence[Replicate], *, reason: str) -> None:
    """Cancel the replicates that wait."""
    for replicate in replicates:
        if replicate.state is TrialState.QUEUED:
            end(session, study, replicate, TrialState.CANCELLED, reason=reason)


def want_again(session: Session, study: Study, replicate: Replicate) -> None:
    """Queue a dropped replicate after all."""
    _move(replicate, TrialState.QUEUED)
    wake_trial_worker(session, study)
    record_replicate_event(session, study, EventType.REPLICATE_QUEUED, replicate=replicate)


def follow_front(session: Session, study: Study) -> None:
    """Queue the final seeds that members of the front lack; drop those that wait for other trials.

    Means move with each final seed, and with them the front. This ends: a seed is trained once,
    and a seed that was given up (FAILED) is not tried again.
    """
    if study.final_replicates == 0:
        return
    front = queries.latest_front(session, study)
    members = frozenset(front.member_trial_ids) if front else frozenset()
    trials = queries.trials_in(session, study.id, [TrialState.SUCCEEDED])
    replicates = queries.replicates_of(session, [trial.id for trial in trials])
    for trial in trials:
        if trial.id in members:
            _complete_seeds(session, study, trial, replicates[trial.id])
        else:
            cancel_queued(session, study, replicates[trial.id], reason="its trial left the front")


def first_seed(study: Study, configuration: Mapping[str, Any] | None) -> int:
    """Return the seed of a trial's replicate 0: its configuration's, and its study's where it has none."""
    return study.seed if configuration is None else int(configuration["training"]["seed"])


def lease(replicate: Replicate, *, lease_seconds: float) -> None:
    """Start the lease of a replicate now, by the database's clock."""
    replicate.lease_seconds = lease_seconds
    replicate.lease_expires_at = from_now(lease_seconds)


def _complete_seeds(session: Session, study: Study, trial: Trial, replicates: Sequence[Replicate]) -> None:
    present = {replicate.number: replicate for replicate in replicates}
    for number in range(study.replicates + study.final_replicates):
        replicate = present.get(number)
        if replicate is None:
            replicate = add_replicate(session, study, trial, number=number)
            record_replicate_event(session, study, EventType.REPLICATE_QUEUED, replicate=replicate)
        elif replicate.state is TrialState.CANCELLED:
            want_again(session, study, replicate)


def _move(replicate: Replicate, to: TrialState) -> None:
    if to not in REPLICATE_TRANSITIONS[replicate.state]:
        raise WrongState(f"A replicate that is {replicate.state} cannot become {to}.")
    replicate.state = to
