"""What a worker's log lines carry."""

import json
import threading

import pytest

from service import leases
from tests.service.test_leases import stored_study
from workers import tasks


def test_lines_name_study_trial_and_attempt(
    service_environment: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the main thread and in the one that sends heartbeats, and not once the trial is over."""
    study_id = stored_study(trials=1)
    claimed = leases.claim("w")
    assert claimed is not None
    monkeypatch.setenv("PARETUNE_LEASE_SECONDS", "0.03")
    tasks.settings.cache_clear()
    beaten = threading.Event()

    def heartbeat(*_: object) -> bool:
        tasks.log.info("beaten")
        beaten.set()
        return False

    def train(*_: object) -> object:
        beaten.wait(10)
        raise tasks.TrialStopped("stopped")

    monkeypatch.setattr(leases, "heartbeat", heartbeat)
    monkeypatch.setattr(tasks, "_train", train)
    with tasks._named_in_logs(claimed):
        tasks._run_claimed([claimed])
    tasks._release(claimed)
    tasks.log.info("idle")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    named = {"study_id": study_id, "trial_id": claimed.trial_id, "attempt": 1}
    by_event = {line["event"]: line for line in lines}
    for event in ("beaten", "trial given back", "nothing to give back"):
        assert named.items() <= by_event[event].items(), event
    assert not named.keys() & by_event["idle"].keys()
