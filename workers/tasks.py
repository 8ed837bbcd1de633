"""The trial worker: claim a trial, keep its lease alive, run it, report how it ended.

Start it with `celery -A workers.tasks worker -Q trials -c 1`. The message carries nothing: the
database says which trial is next. This is the worker's edge: whatever escapes a trial is reported
as FAILED here, and nowhere else.
"""

import os
import signal
import socket
import threading
from types import FrameType

import structlog
from celery.signals import worker_process_init

from api_schemas.trials import ClaimedTrial, Measurement, TrialReport, TrialState
from service import leases
from service.broker import RUN_TRIAL, celery_app
from service.errors import StaleAttempt
from service.logs import configure_logs
from service.process_lifetime import die_with_parent
from service.settings import settings
from workers.interruption import Interruption, TrialStopped, WorkerStopping

log = structlog.get_logger(__name__)

app = celery_app
configure_logs()
interruption = Interruption()

HEARTBEATS_PER_LEASE = 3


@worker_process_init.connect
def prepare_child(**_: object) -> None:
    """Give the pool's child its own connections, and a SIGTERM when its parent dies."""
    # SIGTERM, not SIGKILL: an orphan first gives its trial back.
    die_with_parent(signal.SIGTERM)
    leases.forget_inherited_connections()


@celery_app.task(name=RUN_TRIAL)
def run_next_trial() -> None:
    """Run the next waiting trial, if there is one."""
    # Here and not when the child starts: Celery's pool sets its own handlers after that.
    signal.signal(signal.SIGTERM, _stop_worker)
    signal.signal(signal.SIGUSR1, _stop_trial)
    interruption.begin()
    try:
        claimed = leases.claim(f"{socket.gethostname()}:{os.getpid()}")
        if claimed is not None:
            with structlog.contextvars.bound_contextvars(trial_id=claimed.trial_id, attempt=claimed.attempt):
                _run_claimed(claimed)
    finally:
        interruption.exit_if_asked()


def _run_claimed(claimed: ClaimedTrial) -> None:
    ended = threading.Event()
    heartbeat = threading.Thread(target=_keep_alive, args=(claimed, ended), name="heartbeat", daemon=True)
    heartbeat.start()
    try:
        with interruption.allowed():
            report = _train(claimed)
        leases.complete(claimed.trial_id, claimed.attempt, report)
        log.info("trial ended", state=report.state, reason=report.reason)
    except (TrialStopped, WorkerStopping) as stop:
        log.info("trial given back", reason=str(stop))
        _release(claimed)
    except StaleAttempt as error:
        log.warning("result dropped", reason=error.detail)
    finally:
        ended.set()


def _train(claimed: ClaimedTrial) -> TrialReport:
    # torch loads in the pool's child, never in its parent.
    import torch

    from workers.resident import resident_parts
    from workers.run_trial import run_trial

    torch.set_num_threads(settings().trial_threads)
    try:
        return run_trial(
            claimed.configuration,
            resident=resident_parts(
                settings().models_dir,
                settings().data_dir,
                activation_cache_bytes=settings().activation_cache_bytes,
                trial_memory_bytes=settings().trial_memory_bytes,
            ),
            artifacts_dir=settings().artifacts_dir,
            artifacts_path=claimed.artifacts_path,
            report=lambda measurement: _report(claimed, measurement),
        )
    except StaleAttempt:
        raise
    except Exception as error:
        log.exception("trial failed")
        return TrialReport(state=TrialState.FAILED, reason=f"{type(error).__name__}: {error}"[:1000])


def _report(claimed: ClaimedTrial, measurement: Measurement) -> bool:
    return leases.record_measurement(claimed.trial_id, claimed.attempt, measurement)


def _keep_alive(claimed: ClaimedTrial, ended: threading.Event) -> None:
    while not ended.wait(settings().lease_seconds / HEARTBEATS_PER_LEASE):
        try:
            should_stop = leases.heartbeat(claimed.trial_id, claimed.attempt)
        except StaleAttempt:
            should_stop = True
        if should_stop and not ended.is_set():
            # The main thread is deep in a training step; a signal is what reaches it there.
            os.kill(os.getpid(), signal.SIGUSR1)
            return


def _release(claimed: ClaimedTrial) -> None:
    try:
        leases.release(claimed.trial_id, claimed.attempt)
    except StaleAttempt as error:
        log.info("nothing to give back", reason=error.detail)


def _stop_worker(_signal: int, _frame: FrameType | None) -> None:
    interruption.stop_worker()


def _stop_trial(_signal: int, _frame: FrameType | None) -> None:
    interruption.stop_trial()
