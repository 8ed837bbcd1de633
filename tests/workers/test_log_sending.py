"""Lines of a log are sent once, and nobody waits long for them."""

import threading
import time
from collections.abc import Iterator

import pytest
from sqlalchemy import func, select

from api_schemas.trials import ClaimedTrial, TrialReport, TrialState
from service.errors import StaleAttempt
from service.storage.database import transaction
from service.storage.models import AttemptLog, Replicate
from service.trials import leases
from workers import log_sending, trial_worker
from workers.interruption import WorkerStopping
from workers.log_sending import send_log


def test_a_trial_is_given_back_although_the_database_takes_no_lines(
    claimed: ClaimedTrial, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that is being stopped has little time, and others wait for its trial."""
    over = threading.Event()
    monkeypatch.setattr(leases, "store_log", lambda *_: over.wait(60))

    def train(*_: object) -> Iterator[list[TrialReport]]:
        raise WorkerStopping("the worker was asked to stop")
        yield []

    monkeypatch.setattr(trial_worker, "_train", train)
    began = time.monotonic()
    trial_worker._run_claimed([claimed])
    assert time.monotonic() - began < 30
    over.set()
    with transaction() as session:
        waiting = select(func.count()).where(Replicate.state == TrialState.QUEUED)
        assert session.scalar(waiting) == 1


def test_a_log_that_cannot_be_sent_costs_the_trial_nothing(
    claimed: ClaimedTrial, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The result is stored, and what was said goes with the next lines; a stale attempt sends nothing."""
    pack = trial_worker.ClaimedPack([claimed])
    pack.log.tail(claimed).add("a line")
    with monkeypatch.context() as impatient, pack.log.sending:
        impatient.setattr(log_sending, "SENDING_SECONDS", 0.01)
        send_log(pack.log, claimed)
    monkeypatch.setattr(leases, "store_log", lambda *_: False)
    send_log(pack.log, claimed)
    assert pack.log.tail(claimed).news() is not None

    def stale(*_: object) -> bool:
        raise StaleAttempt("another attempt has the trial")

    monkeypatch.setattr(leases, "store_log", stale)
    pack.complete([TrialReport(state=TrialState.INFEASIBLE, reason="no")])
    monkeypatch.undo()
    with transaction() as session:
        assert session.scalar(select(AttemptLog.attempt)) is None
    with pytest.raises(StaleAttempt):
        leases.heartbeat(claimed.trial_id, 1)


def test_nothing_is_sent_while_nothing_is_said(
    claimed: ClaimedTrial, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A quiet trial costs the database nothing."""
    sent: list[object] = []
    pack = trial_worker.ClaimedPack([claimed])
    monkeypatch.setattr(leases, "store_log", lambda *words: not sent.append(words))  # type: ignore[func-returns-value]
    for _ in range(2):
        send_log(pack.log, claimed)
    pack.log.tail(claimed).add("a line")
    for _ in range(2):
        send_log(pack.log, claimed)
    assert len(sent) == 1
