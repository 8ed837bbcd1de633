"""A value that was told wrongly is corrected by its owner; front, reference point and proposals follow."""

from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from service.storage.audit_log import list_audit_events
from service.storage.database import transaction
from service.storage.models import Event, Study, Trial
from service.study_worker import advance_study
from service.suggestions.study_suggestions import read_request
from service.trials import leases, sweeper
from tests.conftest import OTHER_KEY, study_body
from tests.service.studies.invariants import check_study
from tests.service.studies.test_imported_trials import POLY, imported
from tests.service.test_words_of_runners import shown
from tests.service.trials.test_ask_and_tell import METRICS, POINT, asked, created, pointers, told
from tests.service.trials.test_leases import expire_all_leases

RIGHT = {"error": 0.5, "watts": 60.0}


def corrected(http: TestClient, trial: dict[str, Any], **body: object) -> Any:
    path = f"/v1/studies/{trial['study_id']}/trials/{trial.get('trial_id') or trial['id']}:correct"
    return http.post(path, json={"reason": "a typo", **body})


def ended(http: TestClient, **ending: object) -> dict[str, Any]:
    """A trial of a new study, and how it ended."""
    study_id = created(http)
    advance_study(study_id)
    (trial,) = asked(http, study_id)
    assert told(http, trial, "complete", **(ending or {"state": "SUCCEEDED", "metrics": METRICS})).is_success
    return trial


def front(http: TestClient, study_id: str) -> Any:
    with transaction() as session:
        check_study(session, study_id)
    return http.get(f"/v1/studies/{study_id}/pareto_front").json()


def test_a_corrected_value_replaces_the_one_that_was_told(http: TestClient) -> None:
    """On the front, too; the event keeps both, the audit says who, and the same again adds nothing."""
    trial = ended(http)
    study_id = trial["study_id"]
    imported(http, study_id, {"parameters": POLY, "metrics": {"error": 0.4, "watts": 50.0}})
    assert len(front(http, study_id)["points"]) == 1
    for _ in range(2):
        answer = corrected(http, trial, metrics=RIGHT)
        assert (answer.status_code, answer.json()["metrics"]) == (200, RIGHT)
        assert answer.json()["state_reason"] == "corrected: a typo"
    assert [point["parameters"] for point in front(http, study_id)["points"]] == [POLY]
    with transaction() as session:
        (event,) = session.scalars(select(Event).where(Event.type == "trial.corrected"))
        told_before = {"state": "SUCCEEDED", "reason": None, "metrics": METRICS, "test_metrics": {}}
        assert (event.body["before"], event.body["metrics"]) == (told_before, RIGHT)
        study = session.get_one(Study, study_id)
        audited = list_audit_events(session, tenant_id=study.tenant_id, page_size=1, before=None)
        assert (audited[0].type, audited[0].subject) == ("trial.corrected", trial["trial_id"])


@pytest.mark.parametrize(
    ("ending", "correction", "state"),
    [
        ({"state": "SUCCEEDED", "metrics": METRICS}, {"state": "INFEASIBLE"}, "INFEASIBLE"),
        ({"state": "INFEASIBLE", "reason": "no"}, {"metrics": RIGHT}, "SUCCEEDED"),
    ],
)
def test_a_trial_may_prove_feasible_or_not(
    http: TestClient, ending: dict[str, object], correction: dict[str, object], state: str
) -> None:
    """The front has it or has it not."""
    trial = ended(http, **ending)
    assert corrected(http, trial, **correction).json()["state"] == state
    points = front(http, trial["study_id"])["points"]
    assert [point["metrics"] for point in points] == ([RIGHT] if state == "SUCCEEDED" else [])


def test_a_correction_needs_what_a_result_needs(http: TestClient) -> None:
    """Every metric, a reason, and of several seeds the one that is meant."""
    trial = ended(http)
    assert pointers(corrected(http, trial, metrics={"error": 1.0})) == ["/metrics"]
    assert pointers(corrected(http, trial, metrics={**RIGHT, "stop": 1})) == ["/metrics/stop"]
    assert pointers(corrected(http, trial, state="FAILED", metrics=RIGHT)) == ["/state"]
    assert pointers(corrected(http, trial, metrics=RIGHT, replicate=1)) == ["/replicate"]
    path = f"/v1/studies/{trial['study_id']}/trials/{trial['trial_id']}:correct"
    assert pointers(http.post(path, json={"metrics": RIGHT})) == ["/reason"]
    stranger = {"Authorization": f"Bearer {OTHER_KEY}"}
    body = {"reason": "mine", "metrics": RIGHT}
    assert http.post(path, json=body, headers=stranger).status_code == 404


def test_one_seed_of_several_is_corrected(http: TestClient) -> None:
    """The mean moves, and the other seed stays what it was."""
    study_id = created(http, replicates=2)
    advance_study(study_id)
    first, second = asked(http, study_id, count=2)
    for seed in (first, second):
        told(http, seed, "complete", state="SUCCEEDED", metrics=METRICS)
    assert pointers(corrected(http, first, metrics=RIGHT)) == ["/replicate"]
    answer = corrected(http, first, metrics={"error": 0.75, "watts": 40.0}, replicate=1).json()
    assert answer["metrics"]["error"] == pytest.approx(0.5)
    assert answer["replicates"][0]["metrics"] == METRICS
    front(http, study_id)


def seeds_of_one_trial(http: TestClient, count: int, *, asked_for: int) -> list[dict[str, Any]]:
    study_id = created(http, replicates=count)
    advance_study(study_id)
    return asked(http, study_id, count=asked_for)


def test_a_seed_that_proves_feasible_brings_back_the_seeds_that_were_dropped(http: TestClient) -> None:
    """Its trial is run on, and does not end as CANCELLED, which would lose what its seeds yielded."""
    first, second = seeds_of_one_trial(http, 3, asked_for=2)
    told(http, first, "complete", state="INFEASIBLE", reason="no")
    assert shown(http, first)["replicates"][2]["state"] == "CANCELLED"
    assert corrected(http, first, metrics=RIGHT, replicate=0).status_code == 200
    told(http, second, "complete", state="SUCCEEDED", metrics=RIGHT)
    assert shown(http, first)["state"] == "QUEUED"
    (third,) = asked(http, first["study_id"])
    assert (third["trial_id"], third["replicate"]) == (first["trial_id"], 2)
    assert told(http, third, "complete", state="SUCCEEDED", metrics=RIGHT).json()["metrics"] == RIGHT
    front(http, first["study_id"])


def test_a_seed_that_proves_infeasible_ends_a_trial_whose_other_seeds_wait(http: TestClient) -> None:
    """Nobody is handed a seed whose result changes nothing."""
    (first,) = seeds_of_one_trial(http, 2, asked_for=1)
    told(http, first, "complete", state="SUCCEEDED", metrics=METRICS)
    answer = corrected(http, first, state="INFEASIBLE", replicate=0).json()
    assert answer["state"] == "INFEASIBLE"
    assert [one["state"] for one in answer["replicates"]] == ["INFEASIBLE", "CANCELLED"]
    front(http, first["study_id"])


def test_a_trial_that_has_not_ended_is_not_corrected(http: TestClient) -> None:
    """Its runner completes it."""
    study_id = created(http)
    advance_study(study_id)
    (trial,) = asked(http, study_id)
    answer = corrected(http, trial, metrics=RIGHT)
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/wrong-state")


def test_what_a_worker_of_ours_measured_is_not_corrected(http: TestClient) -> None:
    """Nobody told it, so nobody told it wrongly."""
    space = {"parameters": [{"type": "ordinal", "name": "peft.lora.rank", "choices": [2, 4]}]}
    body = study_body(search_space=space, starting_points=[{"peft.lora.rank": 2}])
    study_id = http.post("/v1/studies", json=body).json()["id"]
    advance_study(study_id)
    claimed = leases.claim("host:1")
    assert claimed is not None
    trial = {"study_id": study_id, "trial_id": claimed.trial_id, "attempt": claimed.attempt}
    told(http, trial, "complete", state="SUCCEEDED", metrics={"score": 0.7, "trainable_parameters": 1.0})
    answer = corrected(http, trial, metrics={"score": 0.9})
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/wrong-state")


def test_a_result_after_the_last_attempt_was_given_up_is_taken(http: TestClient) -> None:
    """Its trial FAILED only since nobody was heard of."""
    study_id = created(http)
    advance_study(study_id)
    for _ in range(3):
        trial = asked(http, study_id)[0]
        expire_all_leases()
        sweeper.sweep_once()
    assert shown(http, trial)["state"] == "FAILED"
    for _ in range(2):
        answer = told(http, trial, "complete", state="SUCCEEDED", metrics=METRICS)
        assert (answer.status_code, answer.json()["state"]) == (200, "SUCCEEDED")
    assert len(front(http, study_id)["points"]) == 1


def test_a_wrong_value_leaves_the_reference_point(http: TestClient) -> None:
    """Settled by the range of the first five, of which the worst was a typo."""
    study_id = created(http)
    past = [
        {"parameters": {**POINT, "learningRate": 0.1 * place}, "metrics": {"error": 0.1, "watts": watts}}
        for place, watts in enumerate([1.0, 2.0, 3.0, 4.0, 5e9], start=1)
    ]
    imported(http, study_id, *past)
    assert http.get(f"/v1/studies/{study_id}").json()["reference_point"][1] == pytest.approx(25.2)
    wrong = http.get(f"/v1/studies/{study_id}/trials").json()["trials"][4]
    corrected(http, wrong, metrics={"error": 0.1, "watts": 5.0})
    assert http.get(f"/v1/studies/{study_id}").json()["reference_point"][1] == pytest.approx(5.4)
    front(http, study_id)


def test_what_was_proposed_from_a_wrong_value_is_proposed_anew(http: TestClient) -> None:
    """Trials that nobody has begun are outdated, as after a new result."""
    trial = ended(http)
    study_id = trial["study_id"]
    advance_study(study_id)
    with transaction() as session:
        for waiting in session.scalars(select(Trial).where(Trial.study_id == study_id, Trial.attempt == 0)):
            waiting.generated_by, waiting.known_results = "qlognehvi", 1
    with transaction() as session:
        request = read_request(session, study_id)
    assert request is None or not request.outdated
    corrected(http, trial, metrics=RIGHT)
    with transaction() as session:
        request = read_request(session, study_id)
    assert request is not None
    assert request.outdated
