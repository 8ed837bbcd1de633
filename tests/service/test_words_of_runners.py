"""What runners outside say late, twice, or otherwise than before, over HTTP on a real Postgres."""

from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select

from service.storage.database import transaction
from service.storage.models import Event, Replicate
from service.study_worker import advance_study
from service.trials import sweeper
from tests.service.studies.invariants import check_study
from tests.service.trials.test_ask_and_tell import METRICS, asked, created, told
from tests.service.trials.test_leases import expire_all_leases

OTHER = {**METRICS, "watts": 41.0}


def lost(http: TestClient, study_id: str, **body: object) -> dict[str, Any]:
    """A trial whose runner was silent for too long."""
    (trial,) = asked(http, study_id, "late", **body)
    expire_all_leases()
    sweeper.sweep_once()
    assert shown(http, trial)["state"] == "QUEUED"
    return trial


def shown(http: TestClient, trial: dict[str, Any]) -> Any:
    return http.get(f"/v1/studies/{trial['study_id']}/trials/{trial['trial_id']}").json()


def types(study_id: str) -> list[str]:
    with transaction() as session:
        check_study(session, study_id)
        query = select(Event.type).where(Event.study_id == study_id).order_by(Event.sequence)
        return [str(type_) for type_ in session.scalars(query)]


def seconds_left(trial: dict[str, Any]) -> float:
    with transaction() as session:
        left = func.extract("epoch", Replicate.lease_expires_at - func.clock_timestamp())
        return float(session.scalars(select(left).where(Replicate.trial_id == trial["trial_id"])).one())


@pytest.fixture
def study_id(http: TestClient) -> str:
    made = created(http)
    advance_study(made)
    return made


@pytest.mark.parametrize("paused", [False, True])
@pytest.mark.parametrize(
    "ended", [{"state": "SUCCEEDED", "metrics": METRICS}, {"state": "INFEASIBLE", "reason": "it broke"}]
)
def test_a_late_result_is_taken_while_nobody_else_has_the_trial(
    http: TestClient, study_id: str, ended: dict[str, object], paused: bool
) -> None:
    """Also in a paused study; it is told twice without harm, and nobody is handed the trial again."""
    trial = lost(http, study_id)
    if paused:
        http.post(f"/v1/studies/{study_id}:pause")
    for _ in range(2):
        answer = told(http, trial, "complete", **ended)
        assert (answer.status_code, answer.json()["state"]) == (200, ended["state"])
    assert "trial.resumed" in types(study_id)
    assert trial["trial_id"] not in {other["trial_id"] for other in asked(http, study_id, "early")}


@pytest.mark.parametrize(("verb", "body"), [("heartbeat", {}), ("report", {"step": 1, "metrics": METRICS})])
def test_a_late_sign_of_life_keeps_the_trial(
    http: TestClient, study_id: str, verb: str, body: dict[str, object]
) -> None:
    """The same attempt goes on, with a lease of the length that it had, and nobody else gets the trial."""
    trial = lost(http, study_id, lease_seconds=3600)
    signal = told(http, trial, verb, **body)
    assert (signal.status_code, signal.json()) == (200, {"should_stop": False, "reason": None})
    assert shown(http, trial)["state"] == "RUNNING"
    assert 3500 < seconds_left(trial) <= 3600
    assert trial["trial_id"] not in {other["trial_id"] for other in asked(http, study_id, "early")}
    assert told(http, trial, "complete", state="SUCCEEDED", metrics=METRICS).json()["state"] == "SUCCEEDED"
    assert types(study_id).count("trial.resumed") == 1


def test_a_late_failure_or_release_costs_nothing_more(http: TestClient, study_id: str) -> None:
    """The attempt is lost already; the trial waits for the next one."""
    trial = lost(http, study_id)
    before = types(study_id)
    assert told(http, trial, "complete", state="FAILED", reason="disk").json()["state"] == "QUEUED"
    assert told(http, trial, "release").json()["state"] == "QUEUED"
    assert types(study_id) == before


@pytest.mark.parametrize(
    ("verb", "body"), [("release", {}), ("complete", {"state": "FAILED", "reason": "r"})]
)
@pytest.mark.parametrize("sign", ["heartbeat", "report"])
def test_a_sign_of_life_that_was_under_way_takes_nothing_back(
    http: TestClient, study_id: str, verb: str, body: dict[str, object], sign: str
) -> None:
    """Whoever has let go of a trial does not keep it from others for a lease; its result is still one."""
    (trial,) = asked(http, study_id)
    told(http, trial, verb, **body)
    late = told(http, trial, sign, **({"step": 1, "metrics": METRICS} if sign == "report" else {}))
    assert (late.status_code, late.json()["type"]) == (409, "/problems/stale-attempt")
    assert shown(http, trial)["state"] == "QUEUED"
    assert told(http, trial, "complete", state="SUCCEEDED", metrics=METRICS).json()["state"] == "SUCCEEDED"


def test_a_failure_told_twice_costs_one_attempt(http: TestClient, study_id: str) -> None:
    """The answer of the first may have been lost."""
    (trial,) = asked(http, study_id)
    for _ in range(3):
        assert told(http, trial, "complete", state="FAILED", reason="disk").json()["state"] == "QUEUED"
    assert types(study_id).count("trial.requeued") == 1


def test_the_result_of_a_released_trial_of_a_cancelled_study_is_refused(
    http: TestClient, study_id: str
) -> None:
    """409 and why: what cannot be stored is not answered with 200."""
    (trial,) = asked(http, study_id)
    assert told(http, trial, "release").status_code == 200
    assert http.post(f"/v1/studies/{study_id}:cancel").json()["state"] == "CANCELLED"
    answer = told(http, trial, "complete", state="SUCCEEDED", metrics=METRICS)
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/stale-attempt")
    assert "CANCELLED (the study was cancelled)" in answer.json()["detail"]


@pytest.mark.parametrize(
    "other",
    [
        {"state": "SUCCEEDED", "metrics": OTHER},
        {"state": "SUCCEEDED", "metrics": {**METRICS, "more": 1}},
        {"state": "SUCCEEDED", "metrics": METRICS, "test_metrics": {"error": 0.3}},
        {"state": "INFEASIBLE", "reason": "no"},
        {"state": "FAILED", "reason": "no"},
    ],
)
def test_another_end_of_the_same_attempt_is_refused(
    http: TestClient, study_id: str, other: dict[str, object]
) -> None:
    """409 with what to do; the first one stands, and says the same again."""
    (trial,) = asked(http, study_id)
    first = told(http, trial, "complete", state="SUCCEEDED", metrics=METRICS).json()
    answer = told(http, trial, "complete", **other)
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/conflicting-result")
    assert ":correct" in answer.json()["detail"]
    assert told(http, trial, "complete", state="SUCCEEDED", metrics=METRICS).json() == first


def test_another_measurement_of_the_same_step_is_refused(http: TestClient, study_id: str) -> None:
    """The same again is one measurement; what differs is a 409, and not dropped behind a 200."""
    (trial,) = asked(http, study_id)
    for _ in range(2):
        assert told(http, trial, "report", step=1, metrics={"error": 1e23}).status_code == 200
    answer = told(http, trial, "report", step=1, metrics={"error": 0.4})
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/conflicting-result")
    assert told(http, trial, "report", step=1, metrics={"error": 1e23, "watts": 1}).status_code == 409
    assert told(http, trial, "report", step=2, metrics={"error": 0.4}).status_code == 200
    assert [item["step"] for item in shown(http, trial)["measurements"]] == [1, 2]


def test_each_suggest_says_how_long_its_runner_may_be_silent(http: TestClient, study_id: str) -> None:
    """The heartbeat keeps the length; asking for more trials leaves it, unless it is named again."""
    (oven,) = asked(http, study_id, lease_seconds=28_800)
    assert oven["lease_seconds"] == 28_800
    told(http, oven, "heartbeat")
    assert 28_700 < seconds_left(oven) <= 28_800
    both = asked(http, study_id, count=2)
    assert [trial["lease_seconds"] for trial in both] == [28_800, 30]
    both = asked(http, study_id, count=2, lease_seconds=60)
    assert [trial["lease_seconds"] for trial in both] == [60, 60]
    assert 50 < seconds_left(oven) <= 60


@pytest.mark.parametrize("seconds", [0, 0.5, -1, 604_801, "long", True])
def test_a_lease_lasts_a_second_to_a_week(http: TestClient, study_id: str, seconds: object) -> None:
    """Anything else is a 422 that points at it."""
    path = f"/v1/studies/{study_id}/trials:suggest"
    answer = http.post(path, json={"worker_id": "w", "lease_seconds": seconds})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/lease_seconds"
