"""What a worker's log lines carry."""

import json

import pytest

from api_schemas.trials import TrialReport, TrialState
from service import leases
from tests.service.test_leases import stored_study
from workers import tasks


def test_lines_name_study_trial_and_attempt(
    service_environment: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """While a trial is dealt with, and not once it is over."""
    study_id = stored_study(trials=1)
    claimed = leases.claim("w")
    assert claimed is not None
    tasks._release(claimed)
    tasks._release(claimed)
    tasks._complete(claimed, TrialReport(state=TrialState.FAILED, reason="too late"))
    tasks.log.info("idle")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    named = {"study_id": study_id, "trial_id": claimed.trial_id, "attempt": 1}
    assert [line["event"] for line in lines] == ["nothing to give back", "result dropped", "idle"]
    assert [named.items() <= line.items() for line in lines] == [True, True, False]
