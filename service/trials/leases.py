"""What our trial workers call: claim, heartbeat, log, report, complete, release.

Every write names its attempt, the fencing token; one that another attempt has followed writes nothing and
raises `StaleAttempt`. Each function is one short transaction, repeated while the database is away, and safe
to repeat. Runners over HTTP have the same functions in `ask_and_tell`.
"""

from collections.abc import Callable, Sequence

import stamina
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session

from api_schemas.log_tail import LastLines
from api_schemas.studies import StudyState
from api_schemas.trial_configuration import TrialConfiguration, patch
from api_schemas.trials import ArtifactRecord, ClaimedTrial, Measurement, TrialReport, TrialState
from service.access import limits
from service.errors import StaleAttempt
from service.settings import settings
from service.storage import queries, typed_study
from service.storage.database import engine, transaction
from service.storage.models import Replicate, Study, Trial
from service.storage.queries import OpenReplicates
from service.trials import attempt_logs, lifecycle, replication, super_networks
from service.trials.claimable_studies import claimable_studies

RELEASE_SECONDS = 3.0
"""A worker that is being stopped does not wait longer for the database; its lease will expire."""

retry_while_database_is_away = stamina.retry(
    on=OperationalError, attempts=None, timeout=120.0, wait_initial=0.2, wait_max=2.0
)


@retry_while_database_is_away
def claim(worker: str) -> ClaimedTrial | None:
    """Take the next queued replicate that its study's parallelism and its tenant's limit allow, or None."""
    with transaction() as session:
        candidates = claimable_studies(session)
    # Concurrent workers spread over the studies before they wait for one.
    for wait in (False, True):
        for study_id in candidates:
            # One transaction each, so that a wait for one study locks no other.
            with transaction() as session:
                claimed = _claim_from(session, study_id, worker, wait=wait)
            if claimed is not None:
                return claimed
    return None


@retry_while_database_is_away
def claim_more(
    worker: str, *, like: ClaimedTrial, count: int, fits: Callable[[TrialConfiguration], bool]
) -> list[ClaimedTrial]:
    """Take up to `count` further queued replicates of a claimed trial's study.

    Only those that fit with it, and no more than the study's parallelism and its tenant's limit allow. A
    replicate that has lost a worker before runs alone, so that it cannot take a pack down with it.
    """
    with transaction() as session:
        study = queries.lock_study(session, like.study_id)
        if study is None or study.state is not StudyState.ACTIVE:
            return []
        packed = queries.get_trial(session, study.id, like.trial_id, lock=True)
        if replication.held(packed, like.attempt).lost_attempts:
            return []
        most = min(count, free_slots(session, study))
        taken: list[ClaimedTrial] = []
        for waiting in queries.replicates_in(session, study.id, [TrialState.QUEUED]):
            if len(taken) >= most:
                break
            trial = queries.get_trial(session, study.id, waiting.trial_id, lock=True)
            ready = replication.next_queued(trial)
            if ready is not None and not ready.lost_attempts and fits(_configuration(trial, ready)):
                taken.append(_start(session, study, trial, worker))
        return taken


@retry_while_database_is_away
def heartbeat(trial_id: str, attempt: int) -> bool:
    """Renew the lease. Return whether the worker should stop."""
    with transaction() as session:
        study = queries.study_of_trial(session, trial_id)
        if study is None:
            raise StaleAttempt(f"Trial '{trial_id}' is gone. Stop.")
        return lifecycle.extend_lease(
            session, study, trial_id, attempt=attempt, lease_seconds=settings().lease_seconds
        )


def store_log(trial_id: str, attempt: int, said: LastLines) -> bool:
    """Store the last lines of an attempt. Return whether the database took them.

    Nothing hangs on them, so they are not sent again: what is sent next has them, too.
    """
    try:
        with transaction() as session:
            study = queries.study_of_trial(session, trial_id)
            if study is None:
                raise StaleAttempt(f"Trial '{trial_id}' is gone. Stop.")
            attempt_logs.store_log(session, study, trial_id, attempt=attempt, said=said)
    except SQLAlchemyError:
        return False
    return True


def log_for(worker: str, line: str) -> int:
    """Add a line to the logs of what a worker ran that can say nothing any more; return to how many."""
    try:
        with transaction() as session:
            return attempt_logs.add_line(session, worker=worker, line=line)
    except SQLAlchemyError:
        return 0


@retry_while_database_is_away
def record_measurement(trial_id: str, attempt: int, measurement: Measurement) -> bool:
    """Store metrics of a running attempt at one step. Return whether the trial should stop early."""
    with transaction() as session:
        study, trial = lock_study_and_trial(session, trial_id)
        return lifecycle.record_measurement(session, study, trial, attempt=attempt, measurement=measurement)


@retry_while_database_is_away
def complete(trial_id: str, attempt: int, report: TrialReport) -> None:
    """Store how an attempt ended, and the front that follows from it."""
    with transaction() as session:
        study, trial = lock_study_and_trial(session, trial_id)
        lifecycle.finish_trial(
            session, study, trial, attempt=attempt, report=report, max_attempts=settings().max_attempts
        )


@retry_while_database_is_away
def record_one_shot(trial_id: str, attempt: int, scores: Sequence[float], *, seconds: float) -> None:
    """Store what the super-network scored that a claimed trial came with."""
    with transaction() as session:
        study, trial = lock_study_and_trial(session, trial_id)
        super_networks.record_scores(session, study, trial, attempt=attempt, scores=scores, seconds=seconds)


@retry_while_database_is_away
def give_up_one_shot(trial_id: str, attempt: int, *, reason: str) -> None:
    """Store why the super-network cannot be trained that a claimed trial came with."""
    with transaction() as session:
        study, trial = lock_study_and_trial(session, trial_id)
        super_networks.give_up(session, study, trial, attempt=attempt, reason=reason)


@stamina.retry(on=OperationalError, attempts=None, timeout=RELEASE_SECONDS, wait_max=0.5)
def release(trial_id: str, attempt: int, *, reason: str = "its worker was stopped") -> None:
    """Give a trial back unfinished: its worker stops or cannot train it, or its study is cancelled."""
    with transaction() as session:
        study, trial = lock_study_and_trial(session, trial_id)
        super_networks.let_go(study, trial, attempt=attempt)
        lifecycle.release_trial(session, study, trial, attempt=attempt, reason=reason)


@retry_while_database_is_away
def give_up(trial_id: str, attempt: int, *, checkpoint: Sequence[ArtifactRecord]) -> None:
    """Give back a trial that is no longer wanted, with its checkpoint."""
    with transaction() as session:
        study, trial = lock_study_and_trial(session, trial_id)
        super_networks.let_go(study, trial, attempt=attempt)
        lifecycle.release_trial(session, study, trial, attempt=attempt, checkpoint=checkpoint)


def forget_inherited_connections() -> None:
    """Start with fresh connections after a fork; the parent goes on using its own."""
    engine().dispose(close=False)


def lock_study_and_trial(session: Session, trial_id: str) -> tuple[Study, Trial]:
    """Lock the study, then the trial with its replicates: the lock order of the whole service.

    Raises:
        StaleAttempt: If the trial is gone.
    """
    study = queries.study_of_trial(session, trial_id, lock=True)
    trial = None if study is None else queries.lock_trial(session, trial_id)
    if study is None or trial is None:
        raise StaleAttempt(f"Trial '{trial_id}' is gone. Drop this result.")
    return study, trial


def free_slots(session: Session, study: Study, waiting: OpenReplicates | None = None) -> int:
    """Return how many more trials of a study may start now. Its lock is held."""
    waiting = waiting or queries.open_replicates(session, study.id)
    left = study.parallelism - waiting.running
    tenants = limits.trials_that_may_start(session, study.tenant_id)
    return left if tenants is None else min(left, tenants)


def _claim_from(session: Session, study_id: str, worker: str, *, wait: bool) -> ClaimedTrial | None:
    study = queries.lock_study(session, study_id, wait=wait)
    # Another worker may have been faster, or hold the lock.
    if study is None or study.state is not StudyState.ACTIVE or free_slots(session, study) < 1:
        return None
    trial = queries.next_queued(session, study_id)
    if trial is None:
        return None
    claimed = _start(session, study, trial, worker)
    order = super_networks.take_order(session, study, trial, attempt=claimed.attempt)
    return claimed.model_copy(update={"super_network": order})


def _start(session: Session, study: Study, trial: Trial, worker: str) -> ClaimedTrial:
    lease_seconds = settings().lease_seconds
    replicate = lifecycle.start_trial(session, study, trial, worker=worker, lease_seconds=lease_seconds)
    session.flush()
    path = f"{trial.study_id}/{trial.id}/{replicate.attempt}"
    return ClaimedTrial.copied_from(
        replicate,
        number=trial.number,
        replicate=replicate.number,
        configuration=_configuration(trial, replicate),
        artifacts_path=path if replicate.number == 0 else None,
        super_network=None,
        is_timed_merged=_makes_smaller(study),
    )


def _makes_smaller(study: Study) -> bool:
    # Where an architecture is searched, the base has it written out.
    base = typed_study.configuration(study)
    return base is not None and base.architecture is not None


def _configuration(trial: Trial, replicate: Replicate) -> TrialConfiguration:
    configuration = TrialConfiguration.model_validate(trial.configuration)
    return patch(configuration, {"training.seed": replicate.seed})
