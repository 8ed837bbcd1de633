"""Reaper and sweeper: take back expired leases, send lost wake-ups again, delete what dead uploads left.

One deployment needs one of them; two do no harm, because each pass holds an advisory lock and
every change is fenced. Each row has a transaction of its own, which waits for nobody: what is in use has its
turn in the next pass. Knows no broker: a wake-up is remembered and sent after the commit.
"""

import math
import threading
import time
from collections.abc import Callable
from datetime import timedelta

import structlog
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from service.access.key_uses import write_uses
from service.catalogue.kept_uploads import UNFINISHED_SECONDS, sweep_unfinished
from service.runtime.broker import ADVANCE_STUDY, WakeUp, wake_after_commit
from service.settings import settings
from service.storage import queries
from service.storage.counters import CounterName, count
from service.storage.database import transaction
from service.storage.expired_leases import ExpiredLease, expired_leases, lock_expired
from service.storage.heartbeats import beat
from service.storage.idempotency_keys import forget_old_keys
from service.storage.models import Study
from service.trials import due_studies, lifecycle, turns
from service.trials.clock_steps import WatchedClock, look, renew_leases
from service.trials.one_by_one import do_each
from service.trials.queue_deficit import trial_deficit
from service.trials.wake_ups import wake_study_worker, wake_trial_worker

log = structlog.get_logger(__name__)

SWEEP_LOCK = 0x7061726574756E65  # "paretune"; any constant that is unique in the database

TRIAL_WAKE_UPS_AT_ONCE = 64
"""A long queue must not fill the broker: a worker that ends a trial gets a wake-up for the next one."""

LISTED_AT_ONCE = 50
"""Rows that are worked through before the next are looked for."""

LONGEST_WAIT = timedelta(minutes=1)
"""For a wake-up that may only be late, and for a study that needs trials and got no wake-up."""


database_clock = WatchedClock()
_files_swept_at = -math.inf


def sweep_until(stopped: threading.Event) -> None:
    """Sweep every `sweep_seconds` until the event is set."""
    while not stopped.wait(settings().sweep_seconds):
        sweep()


def sweep() -> None:
    """Sweep. The edge of the thread: no error ends it."""
    try:
        sweep_once()
        with transaction() as session:
            write_uses(session)
        _sweep_files()
    except OperationalError as error:
        log.warning("the database is away; sweeping again soon", error=str(error.orig))
    except Exception:
        log.exception("sweep failed; sweeping again soon")


def _sweep_files() -> None:
    global _files_swept_at
    data_dir = settings().data_dir
    if data_dir is not None and time.monotonic() > _files_swept_at + UNFINISHED_SECONDS:
        _files_swept_at = time.monotonic()
        sweep_unfinished(data_dir)


def sweep_once() -> None:
    """Do one pass, unless another process is doing one."""
    with transaction() as session:
        reading = look(session)
        renew_leases(session, leapt=database_clock.leapt_before(reading))
    database_clock.last = reading
    # This transaction lists what is to be done. It locks no row before its end, however long the pass takes.
    with transaction() as session:
        if session.scalar(select(func.pg_try_advisory_xact_lock(SWEEP_LOCK))):
            reap_expired_leases(session)
            resend_wake_ups(session)
            forget_old_keys(session)
            beat(session)
    turns.take_back_silent()


def reap_expired_leases(listing: Session) -> None:
    """Requeue or fail every replicate whose worker has gone silent, each in its own transaction."""
    leases = expired_leases(listing, at_most=LISTED_AT_ONCE)
    while leases:
        do_each(leases, take_back)
        leases = expired_leases(listing, at_most=LISTED_AT_ONCE, after=leases[-1])


def take_back(session: Session, lease: ExpiredLease) -> None:
    """Requeue or fail a replicate whose lease was over; not one that has ended or was renewed since.

    One whose study, trial or replicate somebody holds is left for the next pass.
    """
    study = queries.study_of_trial(session, lease.trial_id, lock=True, wait=False)
    trial = None if study is None else queries.lock_trial(session, lease.trial_id, wait=False)
    replicate = None if trial is None else lock_expired(session, lease)
    if study is None or trial is None or replicate is None:
        return
    log.warning("lease expired", trial_id=trial.id, attempt=lease.attempt, worker=replicate.worker)
    count(session, CounterName.LEASE_EXPIRIES)
    lifecycle.lose_trial(session, study, trial, attempt=lease.attempt, max_attempts=settings().max_attempts)


def resend_wake_ups(listing: Session) -> None:
    """Send wake-ups again for studies that are due and for waiting replicates. Other studies cost nothing.

    Each study has its own transaction, and one that is in use is passed by.
    """
    silent_for = timedelta(seconds=settings().wake_up_seconds)
    with transaction() as session:
        due_studies.mend_times(
            session,
            longest_pause=silent_for * 2 ** settings().max_attempts,
            lease=timedelta(seconds=settings().lease_seconds),
        )
    left = TRIAL_WAKE_UPS_AT_ONCE

    def hint(session: Session, study: Study) -> None:
        nonlocal left
        study.hinted_at = func.clock_timestamp()
        waiting = queries.open_replicates(session, study.id)
        hints = max(0, min(waiting.queued, study.parallelism - waiting.running, left))
        left -= hints
        wake_trial_worker(session, study, count=hints)

    _for_studies(listing, due_studies.to_wake(silent_for=silent_for, at_most=LONGEST_WAIT), _wake_again)
    _for_studies(listing, due_studies.forgotten(silent_for=LONGEST_WAIT), _look_after)
    _for_studies(listing, due_studies.to_hint_at(silent_for=silent_for), hint)


def _wake_again(session: Session, study: Study) -> None:
    study.woken_at = func.clock_timestamp()
    wake_after_commit(session, WakeUp(ADVANCE_STUDY, (study.id,)))


def _look_after(session: Session, study: Study) -> None:
    study.woken_at = func.clock_timestamp()
    if trial_deficit(session, study, ended=()):
        wake_study_worker(session, study)


def _for_studies(
    listing: Session, condition: ColumnElement[bool], action: Callable[[Session, Study], None]
) -> None:
    def act(session: Session, study_id: str) -> None:
        study = due_studies.lock_where(session, condition, study_id=study_id)
        if study is not None:
            action(session, study)

    ids = due_studies.ids_where(listing, condition, at_most=LISTED_AT_ONCE, after="")
    while ids:
        do_each(ids, act)
        ids = due_studies.ids_where(listing, condition, at_most=LISTED_AT_ONCE, after=ids[-1])
