"""Deciding for a trial, through the HTTP door."""

from typing import Any

from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from tests.service.api.read_models.test_recommendations import add, study_of
from tests.service.trials.test_lifecycle import queue


def accepted(http: TestClient, study_id: str, trial_id: str, reason: str = "", *, status: int = 200) -> Any:
    body = {"trial_id": trial_id, "reason": reason}
    answer = http.post(f"/v1/studies/{study_id}:accept", json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


def events(http: TestClient, study_id: str) -> list[dict[str, Any]]:
    found = http.get(f"/v1/studies/{study_id}/events?page_size=500").json()["events"]
    return [event for event in found if event["type"] == "study.accepted"]


def test_only_a_result_of_the_study_is_accepted(session: Session, http: TestClient) -> None:
    """One that waits is a conflict, one of another study is refused; neither leaves an event."""
    study, other = study_of(session), study_of(session)
    waits, foreign = queue(session, study), add(session, other, [0.7], 1000)
    session.commit()
    assert "has no result" in accepted(http, study.id, waits.id, status=409)["detail"]
    assert accepted(http, study.id, foreign.id, status=422)["errors"][0]["pointer"] == "/trial_id"
    assert events(http, study.id) == []


def test_who_took_what_and_why_is_an_event(session: Session, http: TestClient) -> None:
    """Said twice it happens once; another decision takes its place, and both stay in the log."""
    study = study_of(session)
    cheap, good = add(session, study, [0.7], 770), add(session, study, [0.8], 9000)
    session.commit()
    assert http.get(f"/v1/studies/{study.id}").json()["accepted"] is None
    taken = accepted(http, study.id, cheap.id, "it fits on the phone")["accepted"]
    assert (taken["number"], taken["reason"]) == (0, "it fits on the phone")
    assert taken["accepted_by"]
    assert taken["key_id"].startswith("key_")
    assert accepted(http, study.id, cheap.id, "it fits on the phone")["accepted"] == taken
    accepted(http, study.id, good.id)
    assert http.get(f"/v1/studies/{study.id}").json()["accepted"]["trial_id"] == good.id
    assert [(event["trial_id"], event["body"]["reason"]) for event in events(http, study.id)] == [
        (cheap.id, "it fits on the phone"),
        (good.id, ""),
    ]
