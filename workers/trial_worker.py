"""The trial worker: claim a trial, keep its lease alive, run it, report how it ended.

Start it with `celery -A workers.tasks worker -Q trials -c 1`. The message carries nothing: the
database says which trial is next. This is the worker's edge: an error that
no module below handles is reported as FAILED here, and nowhere else.
"""

import contextvars
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from enum import Enum, auto
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING

import structlog
from celery import Task
from celery.signals import (
    after_setup_logger,
    after_setup_task_logger,
    worker_process_init,
    worker_process_shutdown,
)

from api_schemas.trial_configuration import TrialConfiguration
from api_schemas.trials import ArtifactRecord, ClaimedTrial, Measurement, TrialReport, TrialState
from service.artifacts.artifact_store import ArtifactStoreAway, artifact_store
from service.errors import StaleAttempt
from service.runtime.broker import RUN_TRIAL, celery_app
from service.runtime.logs import configure_logs, write_json
from service.runtime.process_lifetime import die_with_parent
from service.runtime.received_wake_ups import LostChild, on_lost_child
from service.runtime.telemetry import received, start_telemetry, stop_telemetry
from service.settings import settings
from service.trials import leases
from workers.attempt_log import PackLog, log_line
from workers.errors import DiskFull, TrialError
from workers.interruption import TrialStopped, WorkerStopping, interruption
from workers.log_sending import GIVING_BACK_SECONDS, SENDING_SECONDS, send_last, send_log
from workers.measuring.devices import trial_device
from workers.saving.storage_watch import StorageWatch
from workers.spans import attempt_spans, mark_end, without_trace

if TYPE_CHECKING:
    from workers.model_cache import ModelCache

log = structlog.get_logger(__name__)

app = celery_app
configure_logs()
after_setup_logger.connect(write_json)
after_setup_task_logger.connect(write_json)
storage = StorageWatch()

HEARTBEATS_PER_LEASE = 3
SHOWN = ("share", "train_loss", "loss", "score")
"""What a line of the log says of a measurement; all of it stands in the database."""


@worker_process_init.connect
def prepare_child(**_: object) -> None:
    """Open new connections in the pool's child, and have it get a SIGTERM when its parent dies."""
    # SIGTERM, not SIGKILL: an orphan first gives its trial back.
    die_with_parent(signal.SIGTERM)
    leases.forget_inherited_connections()
    start_telemetry("paretune-trial-worker")


@worker_process_shutdown.connect
def end_child(**_: object) -> None:
    """Send the last traces."""
    stop_telemetry()


def tell_of_lost_child(lost: LostChild) -> None:
    """Add to the logs of a killed child's trials what killed it, as far as its parent knows."""
    memory = (
        ", and the kernel has killed a process for lack of memory meanwhile" if lost.memory_was_short else ""
    )
    line = log_line("error", f"the process of this attempt was ended: {lost.how}{memory}")
    told = leases.log_for(_name_of(lost.pid), line)
    log.error("a child is gone", how=lost.how, memory_was_short=lost.memory_was_short, trials=told)


on_lost_child.append(tell_of_lost_child)


@celery_app.task(name=RUN_TRIAL, bind=True)
def run_next_trial(self: Task) -> None:
    """Run the next waiting trial, if there is one; with packing on, others that share its batches, too."""
    # Here and not when the child starts: Celery's pool sets its own handlers after that.
    signal.signal(signal.SIGTERM, _stop_worker)
    signal.signal(signal.SIGUSR1, _stop_trial)
    interruption.begin()
    try:
        # Before a trial is claimed: a result that could not be saved is not trained.
        if storage.is_usable():
            with received(RUN_TRIAL, self.request):
                _run_next()
    finally:
        interruption.exit_if_asked()


def _run_next() -> None:
    worker = _name_of(os.getpid())
    claimed = leases.claim(worker)
    if claimed is not None:
        with _named_in_logs(claimed):
            pack = [claimed, *_claim_more(worker, claimed)]
            with attempt_spans(pack):
                _run_claimed(pack)


def _name_of(pid: int) -> str:
    return f"{socket.gethostname()}:{pid}"


def _claim_more(worker: str, claimed: ClaimedTrial) -> list[ClaimedTrial]:
    others = settings().trials_per_pack - 1
    if not others:
        return []
    from workers.packing.compatibility import can_pack

    def fits(configuration: TrialConfiguration) -> bool:
        return can_pack([claimed.configuration, configuration])

    more = leases.claim_more(worker, like=claimed, count=others, fits=fits)
    log.info("claimed", packed_with=[other.trial_id for other in more])
    return more


class Lease(Enum):
    """The answer to a heartbeat. UNWANTED: the result is not needed, for example of a cancelled study."""

    KEPT = auto()
    UNWANTED = auto()
    LOST = auto()


class ClaimedPack:
    """Trials claimed together, mostly one. Of those in `reported`, the end or the return is being stored."""

    def __init__(self, claimed: Sequence[ClaimedTrial]) -> None:
        self.running = tuple(claimed)
        self.reported: list[ClaimedTrial] = []
        self.log = PackLog(claimed, running=lambda: self.running)

    def complete(self, reports: Sequence[TrialReport]) -> None:
        """Store how the first running trials have ended. Heartbeats go on until the database has it."""
        for claimed, report in zip(self.running[: len(reports)], reports, strict=True):
            self.reported.append(claimed)
            with self.log.about(claimed):
                self.log.end(claimed, report)
                send_last(self.log, [claimed], seconds=SENDING_SECONDS)
                _complete(claimed, report)
            self.running = self.running[1:]

    def drain(self) -> Iterator[ClaimedTrial]:
        """Yield the trials that have not ended, for the caller to give back."""
        send_last(self.log, self.running, seconds=GIVING_BACK_SECONDS)
        for claimed in self.running:
            self.reported.append(claimed)
            yield claimed


def _run_claimed(claimed: Sequence[ClaimedTrial]) -> None:
    pack = ClaimedPack(claimed)
    ended = threading.Event()
    # In a copy of this context: the thread's log lines carry the trial's id, too.
    keep_alive = partial(contextvars.copy_context().run, _keep_alive, pack, ended)
    heartbeat = threading.Thread(target=keep_alive, name="heartbeat", daemon=True)
    heartbeat.start()
    try:
        with pack.log.heard():
            _run_heard(pack)
    finally:
        ended.set()


def _run_heard(pack: ClaimedPack) -> None:
    try:
        _load_training()
        _train_all(pack)
    except (TrialStopped, WorkerStopping, StaleAttempt) as stop:
        # What stops one trial of a pack stops all that have not ended; other workers will run those.
        log.info("trial given back", reason=str(stop))
        checkpoints = stop.checkpoints if isinstance(stop, TrialStopped) else {}
        for one in pack.drain():
            _release(one, checkpoint=checkpoints.get(one.artifacts_path or "", ()))
    except DiskFull as error:
        for one in pack.drain():
            _release(one, reason=str(error))
        storage.wait_for_space(error)


def _load_training() -> None:
    # torch loads in the pool's child, never in its parent. And while no signal can raise: one that broke into
    # the import would leave torch half loaded, and every further trial of this process would fail.
    import workers.one_shot
    import workers.packing.run
    import workers.run_trial  # noqa: F401


def _train_all(pack: ClaimedPack) -> None:
    with interruption.allowed():
        for claimed in pack.running:
            _delete_files_of_earlier_attempts(claimed)
            with pack.log.about(claimed):
                _score_sub_networks(claimed)
    reports = _reports(pack.running, pack.log)
    while pack.running:
        with interruption.allowed():
            next_reports = next(reports)
        # Before the others are trained: a later failure must not cost a finished result.
        pack.complete(next_reports)


def _score_sub_networks(claimed: ClaimedTrial) -> None:
    """Train the super-network that a trial comes with, if any; one that fails must not fail the trial."""
    if claimed.super_network is None:
        return
    from workers.one_shot import one_shot_scores

    started = time.perf_counter()
    try:
        scores = one_shot_scores(claimed.super_network, cache=_cache())
    except Exception as error:
        log.exception("super-network failed")
        reason = str(error) if isinstance(error, TrialError) else f"{type(error).__name__}: {error}"
        leases.give_up_one_shot(claimed.trial_id, claimed.attempt, reason=reason[:1000])
        return
    seconds = time.perf_counter() - started
    log.info("sub-networks scored", count=len(scores), seconds=round(seconds, 1))
    leases.record_one_shot(claimed.trial_id, claimed.attempt, scores, seconds=seconds)


def _reports(claimed: Sequence[ClaimedTrial], said: PackLog) -> Iterator[list[TrialReport]]:
    """Train trials and yield their reports in order, each time those that are finished."""
    left = len(claimed)
    try:
        for reports in _train(claimed, said):
            left -= len(reports)
            yield reports
        return
    except (StaleAttempt, DiskFull):
        raise
    except Exception as error:
        log.exception("trial failed")
        reason = f"{type(error).__name__}: {error}"[:1000]
    if left == 1:
        yield [TrialReport(state=TrialState.FAILED, reason=reason)]
        return
    # Alone, so that only the trial that causes the error fails.
    for one in claimed[-left:]:
        with said.about(one):
            yield from _reports([one], said)


def _train(claimed: Sequence[ClaimedTrial], said: PackLog) -> Iterator[list[TrialReport]]:
    from workers.run_trial import Trial, run_trial

    cache = _cache()
    trials = [
        Trial(one.configuration, one.artifacts_path, partial(_report, one, said), one.is_timed_merged)
        for one in claimed
    ]
    if len(trials) == 1:
        yield [run_trial(trials[0], cache=cache, store=artifact_store())]
    else:
        from workers.packing.run import run_packed

        yield from run_packed(trials, cache=cache, store=artifact_store())


def _cache() -> "ModelCache":
    import torch

    from workers.model_cache import process_cache

    torch.set_num_threads(settings().trial_threads)
    return process_cache(
        settings().models_dir,
        settings().data_dir,
        device=trial_device(),
        activation_cache_bytes=settings().activation_cache_bytes,
        trial_memory_bytes=settings().trial_memory_bytes,
    )


def _report(claimed: ClaimedTrial, said: PackLog, measurement: Measurement) -> bool:
    shown = {name: measurement.metrics[name] for name in SHOWN if name in measurement.metrics}
    with _named_in_logs(claimed), said.about(claimed):
        log.info("measured", step=measurement.step, **shown)
    return leases.record_measurement(claimed.trial_id, claimed.attempt, measurement)


def _complete(claimed: ClaimedTrial, report: TrialReport) -> None:
    with _named_in_logs(claimed):
        try:
            mark_end(claimed, report)
            leases.complete(claimed.trial_id, claimed.attempt, report)
            log.info("trial ended", state=report.state, reason=report.reason)
        except StaleAttempt as error:
            log.warning("result dropped", reason=error.detail)
            _delete(report.artifacts)


def _keep_alive(pack: ClaimedPack, ended: threading.Event) -> None:
    while not ended.wait(settings().lease_seconds / HEARTBEATS_PER_LEASE):
        # Every lease is renewed before any answer is acted on.
        answers = [_renew(pack, one) for one in pack.running]
        if Lease.UNWANTED in answers and Lease.LOST not in answers:
            # This was the last renewal: a checkpoint can be saved until the lease ends.
            interruption.no_longer_wanted()
        if {*answers} - {Lease.KEPT} and not ended.is_set():
            # The main thread is inside a training step; only a signal reaches it there.
            os.kill(os.getpid(), signal.SIGUSR1)
            return
        for one in pack.running:
            send_log(pack.log, one)


def _renew(pack: ClaimedPack, claimed: ClaimedTrial) -> Lease:
    try:
        with without_trace():
            unwanted = leases.heartbeat(claimed.trial_id, claimed.attempt)
    except StaleAttempt:
        # A trial whose end or return has just been stored has no lease any more: it did not lose one.
        return Lease.KEPT if claimed in pack.reported else Lease.LOST
    return Lease.UNWANTED if unwanted else Lease.KEPT


def _release(
    claimed: ClaimedTrial,
    *,
    reason: str = "its worker was stopped",
    checkpoint: Sequence[ArtifactRecord] = (),
) -> None:
    trial_id, attempt = claimed.trial_id, claimed.attempt
    with _named_in_logs(claimed):
        try:
            if checkpoint:
                marked = [record.model_copy(update={"attempt": attempt}) for record in checkpoint]
                leases.give_up(trial_id, attempt, checkpoint=marked)
                log.info("checkpoint kept", step=checkpoint[0].step)
            else:
                leases.release(trial_id, attempt, reason=reason)
        except StaleAttempt as error:
            log.info("nothing to give back", reason=error.detail)


def _delete_files_of_earlier_attempts(claimed: ClaimedTrial) -> None:
    """Delete what lost attempts of a trial had uploaded; no row in the database names those files."""
    if claimed.attempt > 1 and claimed.artifacts_path is not None:
        try:
            artifact_store().delete_earlier_attempts(claimed.artifacts_path)
        except ArtifactStoreAway as error:
            log.warning("files of earlier attempts are left behind", reason=error.detail)


def _delete(artifacts: Sequence[ArtifactRecord]) -> None:
    """Delete the files of a result that came too late; no row in the database names them."""
    try:
        artifact_store().delete(record.path for record in artifacts)
    except ArtifactStoreAway as error:
        log.warning("files of a dropped result are left behind", reason=error.detail)


def _named_in_logs(claimed: ClaimedTrial) -> AbstractContextManager[None]:
    return structlog.contextvars.bound_contextvars(
        study_id=claimed.study_id, trial_id=claimed.trial_id, attempt=claimed.attempt
    )


def _stop_worker(_signal: int, _frame: FrameType | None) -> None:
    interruption.stop_worker()


def _stop_trial(_signal: int, _frame: FrameType | None) -> None:
    interruption.stop_trial()
