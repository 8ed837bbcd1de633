"""Every state change of replicates: a trial's configuration with one seed, which is what a worker leases.

Each function runs in the caller's transaction under the study's row lock, as those of `lifecycle`
do, which alone turns the states of replicates into the state of their trial. The machine:

    QUEUED -> RUNNING -> SUCCEEDED | INFEASIBLE | FAILED | STOPPED_EARLY | CANCELLED; RUNNING -> QUEUED
    again when its attempt is lost, released or failed and attempts remain; QUEUED -> CANCELLED when nobody
    wants its result any more; CANCELLED -> QUEUED when its trial is back on the front; QUEUED -> SUCCEEDED |
    INFEASIBLE with a result that is known from elsewhere
"""

from collections.abc import Mapping, Sequence

from sqlalchemy import func
from sqlalchemy.orm import Session

from api_schemas.events import EventType
from api_schemas.studies import StudyState
from api_schemas.trials import ArtifactRecord, TrialReport, TrialState
from service.errors import StaleAttempt, WrongState
from service.models import Artifact, Replicate, Study, Trial
from service.studies import repository
from service.studies.event_log import record_replicate_event
from service.studies.wake_ups import wake_trial_worker

SEEDS = 2**31
"""Seeds start again at zero here, for a training seed is below it."""

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
        seed=(first_seed(study, trial) + number) % SEEDS,
        state=TrialState.QUEUED,
    )
    session.add(replicate)
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


def held(session: Session, trial_id: str, attempt: int) -> Replicate:
    """Lock the replicate that an attempt holds the lease of: what every write of a worker starts with.

    Raises:
        StaleAttempt: If the attempt is not a running one.
    """
    replicate = repository.lock_replicate(session, trial_id, attempt=attempt)
    if replicate is None or replicate.state is not TrialState.RUNNING:
        raise StaleAttempt(f"Attempt {attempt} of trial '{trial_id}' is over. Drop this result.")
    return replicate


def is_wanted(session: Session, study: Study, replicate: Replicate) -> bool:
    """Say whether a running replicate should go on, or its result changes nothing any more."""
    siblings = repository.replicates_of(session, [replicate.trial_id])[replicate.trial_id]
    return study.state is not StudyState.CANCELLING and not decided(siblings)


def decided(replicates: Sequence[Replicate]) -> bool:
    """Say whether a trial's end is known before all of its replicates have ended.

    One infeasible seed makes the configuration infeasible. Without replicate 0 there is no artifact;
    where it was stopped early, so is the trial.
    """
    return any(
        replicate.state is TrialState.INFEASIBLE
        or (replicate.number == 0 and replicate.state in (TrialState.FAILED, TrialState.STOPPED_EARLY))
        for replicate in replicates
    )


def deciding(replicates: Sequence[Replicate]) -> Replicate:
    """Give, once all have ended, the replicate whose state and reason are those of its trial."""
    by_state = {replicate.state: replicate for replicate in reversed(replicates)}
    if TrialState.INFEASIBLE in by_state:
        return by_state[TrialState.INFEASIBLE]
    first = replicates[0]
    if first.state in (TrialState.FAILED, TrialState.STOPPED_EARLY):
        return first
    return by_state.get(TrialState.CANCELLED, first)


def requeue(session: Session, study: Study, replicate: Replicate, *, reason: str) -> None:
    """Let another worker take a replicate from its start."""
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
    session.flush()
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
    """Drop those that wait."""
    for replicate in replicates:
        if replicate.state is TrialState.QUEUED:
            end(session, study, replicate, TrialState.CANCELLED, reason=reason)


def follow_front(session: Session, study: Study) -> None:
    """Queue the final seeds that members of the front lack; drop those that wait for other trials.

    Means move with each final seed, and with them the front. This ends: a seed is trained once,
    and a seed that was given up (FAILED) is not tried again.
    """
    if study.final_replicates == 0:
        return
    front = repository.latest_front(session, study.id)
    members = frozenset(front.member_trial_ids) if front else frozenset()
    trials = repository.trials_in(session, study.id, [TrialState.SUCCEEDED])
    replicates = repository.replicates_of(session, [trial.id for trial in trials])
    for trial in trials:
        if trial.id in members:
            _complete_seeds(session, study, trial, replicates[trial.id])
        else:
            cancel_queued(session, study, replicates[trial.id], reason="its trial left the front")


def first_seed(study: Study, trial: Trial) -> int:
    """Give the seed of a trial's replicate 0: its configuration's, and its study's where it has none."""
    return study.seed if trial.configuration is None else int(trial.configuration["training"]["seed"])


def lease(replicate: Replicate, *, lease_seconds: float) -> None:
    """Let the lease of a replicate begin now, by the database's clock."""
    replicate.lease_seconds = lease_seconds
    replicate.lease_expires_at = func.clock_timestamp() + func.make_interval(0, 0, 0, 0, 0, 0, lease_seconds)


def _complete_seeds(session: Session, study: Study, trial: Trial, replicates: Sequence[Replicate]) -> None:
    present = {replicate.number: replicate for replicate in replicates}
    for number in range(study.replicates + study.final_replicates):
        replicate = present.get(number)
        if replicate is None:
            replicate = add_replicate(session, study, trial, number=number)
        elif replicate.state is TrialState.CANCELLED:
            _move(replicate, TrialState.QUEUED)
            wake_trial_worker(session, study)
        else:
            continue
        record_replicate_event(session, study, EventType.REPLICATE_QUEUED, replicate=replicate)


def _move(replicate: Replicate, to: TrialState) -> None:
    if to not in REPLICATE_TRANSITIONS[replicate.state]:
        raise WrongState(f"A replicate that is {replicate.state} cannot become {to}.")
    replicate.state = to
