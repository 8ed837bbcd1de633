"""Attempts at a study's trials, through the HTTP door."""

from fastapi.testclient import TestClient

from api_schemas.trials import TrialReport, TrialState
from service.trials import leases
from tests.service.trials.test_leases import REPORT, stored_study

FAILED = TrialReport(state=TrialState.FAILED, reason="the disk is full")


def test_every_attempt_has_its_worker_and_its_end(client: TestClient) -> None:
    """A lost one, one that was given back and one that succeeded; a running one has no end yet."""
    study_id = stored_study(trials=2)
    for worker, report in (("first", FAILED), ("second", None), ("first", REPORT), ("third", None)):
        claimed = leases.claim(worker)
        assert claimed is not None
        if report is not None:
            leases.complete(claimed.trial_id, claimed.attempt, report)
        elif worker == "second":
            leases.release(claimed.trial_id, claimed.attempt)
    runs = client.get(f"/v1/studies/{study_id}/runs").json()
    assert runs["workers"] == ["first", "second", "first", "third"]
    assert runs["outcomes"] == ["REQUEUED", "REQUEUED", "SUCCEEDED", "RUNNING"]
    assert runs["reasons"] == ["the disk is full", "its worker was stopped", None, None]
    assert runs["numbers"] == [0, 0, 0, 1]
    assert runs["attempts"] == [1, 2, 3, 1]
    assert [end is None for end in runs["ended_at"]] == [False, False, False, True]
    for begin, end in zip(runs["started_at"], runs["ended_at"], strict=True):
        assert end is None or begin <= end


def test_what_nobody_ran_is_no_attempt(client: TestClient) -> None:
    """A trial that was dropped while it waited."""
    study_id = stored_study(trials=1)
    client.post(f"/v1/studies/{study_id}:cancel")
    assert client.get(f"/v1/studies/{study_id}/runs").json()["numbers"] == []
