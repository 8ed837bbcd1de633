"""What a worker's log lines carry, and what a signal leaves of it."""

import json
import subprocess
import sys

import pytest

from api_schemas.trials import TrialReport, TrialState
from service.trials import leases
from tests.service.trials.test_leases import stored_study
from workers import trial_worker


def test_lines_name_study_trial_and_attempt(
    service_environment: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """While a trial is dealt with, and not once it is over."""
    study_id = stored_study(trials=1)
    claimed = leases.claim("w")
    assert claimed is not None
    trial_worker._release(claimed)
    assert leases.claim("another") is not None
    trial_worker._release(claimed)
    trial_worker._complete(claimed, TrialReport(state=TrialState.FAILED, reason="too late"))
    trial_worker.log.info("idle")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    named = {"study_id": study_id, "trial_id": claimed.trial_id, "attempt": 1}
    assert [line["event"] for line in lines] == ["nothing to give back", "result dropped", "idle"]
    assert [named.items() <= line.items() for line in lines] == [True, True, False]


def test_a_heartbeat_just_after_a_trial_was_given_back_has_lost_nothing(service_environment: None) -> None:
    """It must not stop what its process does next; one whose lease somebody else ended has lost it."""
    stored_study(trials=2, parallelism=2)
    first, second = leases.claim("w"), leases.claim("w")
    assert first is not None
    assert second is not None
    pack = trial_worker.ClaimedPack([first])
    for claimed in pack.drain():
        trial_worker._release(claimed)
    assert trial_worker._renew(pack, first) is trial_worker.Lease.KEPT
    leases.release(second.trial_id, second.attempt, reason="taken away")
    assert [leases.claim("another") is not None for _ in range(2)] == [True, True]
    assert trial_worker._renew(trial_worker.ClaimedPack([second]), second) is trial_worker.Lease.LOST


STOPPED_WHILE_TORCH_LOADS = """
import sys
from service.trials import leases
from workers import trial_worker as tasks

class Stop:
    def find_spec(self, name, path, target=None):
        if name == "torch.nn":
            tasks._stop_trial(0, None)

sys.meta_path.insert(0, Stop())
tasks.interruption.begin()
tasks._run_claimed([leases.claim("w")])
tasks.interruption.exit_if_asked()
from workers.model_cache import process_cache
"""


@pytest.mark.nightly
def test_a_trial_stopped_while_torch_loads_leaves_a_worker_that_can_train(service_environment: None) -> None:
    """The trial is given back, and torch is whole."""
    stored_study(trials=1)
    ended = subprocess.run(
        [sys.executable, "-c", STOPPED_WHILE_TORCH_LOADS], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert "trial given back" in ended.stdout
    again = leases.claim("w")
    assert again is not None
    assert again.attempt == 2
