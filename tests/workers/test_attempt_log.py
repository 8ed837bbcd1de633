"""What is said while trials run reaches their logs, wherever it comes from, and ends with them."""

import logging
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import select

from api_schemas.trials import ClaimedTrial, Measurement, TrialReport
from service import settings
from service.runtime import received_wake_ups
from service.runtime.received_wake_ups import ReceivedWakeUp
from service.storage.database import transaction
from service.storage.models import AttemptLog
from tests.service.trials.test_leases import stored_study
from workers import trial_worker
from workers.attempt_log import PackLog
from workers.interruption import WorkerStopping


def pack_of(*trials: tuple[str, int]) -> list[ClaimedTrial]:
    return [ClaimedTrial.model_construct(trial_id=trial_id, attempt=attempt) for trial_id, attempt in trials]


def said(log: PackLog, claimed: ClaimedTrial) -> list[str]:
    """The lines without their times."""
    return [line[16:] for line in log.tail(claimed).read().text.splitlines()]


def stored(trial_id: str, attempt: int = 1) -> str:
    with transaction() as session:
        lines = session.scalar(
            select(AttemptLog.lines).where(AttemptLog.trial_id == trial_id, AttemptLog.attempt == attempt)
        )
        return lines or ""


def lines_of_all() -> list[str]:
    with transaction() as session:
        return "\n".join(session.scalars(select(AttemptLog.lines))).splitlines()


def test_loggers_and_warnings_are_heard_and_only_while_the_trials_run(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With their tracebacks; a library's logger that hands nothing on is heard once; secrets are not."""
    # As a worker has it; whoever ran before in this process may have left another level.
    caplog.set_level(logging.INFO)
    monkeypatch.setenv("HUB_TOKEN", "open sesame please")
    [one] = pack = pack_of(("trl_1", 1))
    log = PackLog(pack, running=lambda: pack)
    library = logging.getLogger("transformers.modeling")
    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", False)
    with warnings.catch_warnings():
        warnings.resetwarnings()
        monkeypatch.setattr(warnings, "showwarning", lambda *_: None)
        with log.heard():
            trial_worker.log.info("measured", step=3, score=0.123456789, trial_id="trl_1", study_id="std_1")
            logging.getLogger("some.library").warning("%d rows", 3)
            library.warning("open sesame please")
            warnings.warn("odd", UserWarning, stacklevel=1)
            try:
                raise ValueError("broken")
            except ValueError:
                trial_worker.log.exception("trial failed")
        trial_worker.log.info("afterwards")
        logging.getLogger("some.library").warning("afterwards")
    lines = said(log, one)
    assert lines[:3] == [
        "measured step=3 score=0.123457",
        "warning: some.library: 3 rows",
        "warning: transformers.modeling: [redacted]",
    ]
    assert lines[3].startswith(f"warning: UserWarning: odd ({__file__}:")
    assert lines[4] == "error: trial failed"
    assert log.tail(one).read().text.endswith("ValueError: broken")
    assert not [line for line in lines if "afterwards" in line]


def test_a_warning_is_heard_once_where_logging_captures_warnings() -> None:
    """As Celery has it in a worker."""
    [one] = pack = pack_of(("trl_1", 1))
    log = PackLog(pack, running=lambda: pack)
    with warnings.catch_warnings():
        warnings.resetwarnings()
        # Whoever captured before in this process: a second time would change nothing.
        logging.captureWarnings(False)
        logging.captureWarnings(True)
        try:
            with log.heard():
                warnings.warn("odd", UserWarning, stacklevel=1)
        finally:
            logging.captureWarnings(False)
    assert [line.split(" (")[0] for line in said(log, one)] == ["warning: UserWarning: odd"]


def test_keys_that_were_read_from_files_are_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable holds them."""
    (tmp_path / "key").write_text("opensesame please")
    monkeypatch.setenv("PARETUNE_METRICS_TOKEN_FILE", str(tmp_path / "key"))
    settings.settings.cache_clear()
    [one] = pack = pack_of(("trl_1", 1))
    log = PackLog(pack, running=lambda: pack)
    log.tail(one).add("it is opensesame please.")
    settings.settings.cache_clear()
    assert log.tail(one).read().text == "it is [redacted]."


def test_what_is_said_of_one_trial_of_a_pack_stands_in_its_log_alone() -> None:
    """What is said of none in particular stands in each that has not ended; seeds of a trial are two."""
    pack = pack_of(("trl_1", 1), ("trl_1", 2), ("trl_2", 1))
    running = list(pack)
    log = PackLog(pack, running=lambda: running)
    with log.heard():
        trial_worker.log.info("all")
        with log.about(pack[1]):
            trial_worker.log.info("second")
        del running[0]
        trial_worker.log.info("later")
    assert [said(log, one) for one in pack] == [
        ["all"],
        ["all", "second", "later"],
        ["all", "later"],
    ]


def test_a_failure_leaves_its_traceback(claimed: ClaimedTrial, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below what was measured before it, and above how the attempt ended."""

    def train(claimed: Sequence[ClaimedTrial], log: PackLog) -> Iterator[list[TrialReport]]:
        trial_worker._report(claimed[0], log, Measurement(step=1, metrics={"score": 0.5, "share": 0.25}))
        raise RuntimeError("bad luck")
        yield []

    monkeypatch.setattr(trial_worker, "_train", train)
    trial_worker._run_claimed([claimed])
    first, *middle, last = stored(claimed.trial_id).splitlines()
    assert first.endswith("measured step=1 share=0.25 score=0.5")
    assert "Traceback (most recent call last):" in middle
    assert "RuntimeError: bad luck" in middle
    assert last.endswith("ends FAILED: RuntimeError: bad luck")


def test_a_worker_that_is_stopped_leaves_its_lines(
    claimed: ClaimedTrial, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what stopped it."""

    def train(*_: object) -> Iterator[list[TrialReport]]:
        raise WorkerStopping("the worker was asked to stop")
        yield []

    monkeypatch.setattr(trial_worker, "_train", train)
    trial_worker._run_claimed([claimed])
    assert "trial given back reason=the worker was asked to stop" in stored(claimed.trial_id)


TALKS_UNTIL_KILLED = """
import logging
import time
from service.trials import leases
from workers import trial_worker

def train(claimed, log):
    logging.getLogger("a.library").warning("epoch 7 begins")
    time.sleep(600)
    yield []

trial_worker._load_training = lambda: None
trial_worker._train = train
trial_worker._run_claimed([leases.claim("host:1")])
"""


def test_a_killed_worker_leaves_the_lines_that_it_had_sent(
    service_environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGKILL, as the kernel does when memory runs out; its parent adds what it knows."""
    monkeypatch.setenv("PARETUNE_LEASE_SECONDS", "1")
    stored_study(trials=1)
    command = [sys.executable, "-c", TALKS_UNTIL_KILLED]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        give_up = time.monotonic() + 60
        while not lines_of_all() and process.poll() is None and time.monotonic() < give_up:
            time.sleep(0.05)
        process.kill()
    lost = received_wake_ups.LostChild(1, "signal 9 (SIGKILL)", memory_was_short=True)
    monkeypatch.setattr(trial_worker.socket, "gethostname", lambda: "host")
    trial_worker.tell_of_lost_child(lost)
    lines = lines_of_all()
    assert lines[0].endswith("warning: a.library: epoch 7 begins")
    assert "signal 9 (SIGKILL), and the kernel has killed a process for lack of memory" in lines[-1]


def test_a_parent_tells_of_a_child_that_was_killed_in_its_work_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not of a task that raised an error: that one has said so itself."""
    from billiard.exceptions import WorkerLostError
    from celery.worker.request import Request

    told: list[received_wake_ups.LostChild] = []
    monkeypatch.setattr(received_wake_ups, "on_lost_child", [told.append])
    monkeypatch.setattr(Request, "on_failure", lambda *_: None)
    monkeypatch.setattr(received_wake_ups, "memory_kills", lambda: 5)
    wake_up = ReceivedWakeUp.__new__(ReceivedWakeUp)
    wake_up.worker_pid, wake_up.memory_kills = 7, 4
    for error in (
        ValueError("odd"),
        WorkerLostError("Worker exited prematurely: signal 9 (SIGKILL) Job: 3."),
    ):
        wake_up.on_failure(SimpleNamespace(exception=error))
    assert told == [received_wake_ups.LostChild(7, "signal 9 (SIGKILL)", memory_was_short=True)]
