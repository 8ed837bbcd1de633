"""Past results become trials beside the budget, all or none, and teach the optimiser."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.storage import queries
from service.storage.database import transaction
from service.storage.models import Event, Study
from service.study_worker import advance_study
from service.suggestions.study_suggestions import read_request
from tests.conftest import study_body
from tests.service.studies.invariants import check_study
from tests.service.trials.test_ask_and_tell import (
    METRICS,
    POINT,
    asked,
    created,
    custom_body,
    pointers,
    told,
)

POLY = {"learningRate": 0.5, "kernel": "poly", "degree": 3}


def imported(http: TestClient, study_id: str, *observations: dict[str, object]) -> Any:
    return http.post(f"/v1/studies/{study_id}/trials:import", json={"observations": observations})


@pytest.mark.parametrize(
    ("observation", "pointer"),
    [
        ({"parameters": {"kernel": "rbf"}, "metrics": METRICS}, "/observations/1/parameters"),
        ({"parameters": {**POINT, "x": 1}, "metrics": METRICS}, "/observations/1/parameters/x"),
        ({"parameters": {**POLY, "degree": 9}, "metrics": METRICS}, "/observations/1/parameters/degree"),
        ({"parameters": POINT, "metrics": METRICS}, "/observations/1/parameters"),
        ({"parameters": POLY, "metrics": {"error": 0.1}}, "/observations/1/metrics"),
        ({"parameters": POLY, "metrics": {**METRICS, "error": -1}}, "/observations/1/metrics/error"),
        ({"parameters": POLY, "metrics": {**METRICS, "chance": 1}}, "/observations/1/metrics/chance"),
        ({"parameters": POLY, "metrics": METRICS, "infeasible": "both"}, "/observations/1"),
        ({"parameters": POLY}, "/observations/1"),
    ],
)
def test_one_bad_observation_refuses_all(
    http: TestClient, observation: dict[str, object], pointer: str
) -> None:
    """With a pointer to it; nothing is stored."""
    study_id = created(http)
    answer = imported(http, study_id, {"parameters": POINT, "metrics": METRICS}, observation)
    assert pointer in pointers(answer)
    assert http.get(f"/v1/studies/{study_id}/trials").json()["trials"] == []


def test_past_results_cost_no_budget_and_make_one_front(http: TestClient) -> None:
    """They are counted apart, numbered like all trials, and added once however often they are posted."""
    study_id = created(http)
    body = [
        # An integer is a legal real number, and an inactive parameter changes nothing.
        {"parameters": {"learningRate": 1, "kernel": "rbf", "degree": 2}, "metrics": METRICS},
        {"parameters": POLY, "infeasible": "singular"},
        {"parameters": POINT, "metrics": {"error": 0.1, "watts": 90.0}},
    ]
    assert imported(http, study_id, *body).json() == {"imported": 3, "already_known": 0}
    assert imported(http, study_id, *body[:2]).json() == {"imported": 0, "already_known": 2}
    study = http.get(f"/v1/studies/{study_id}").json()
    assert (study["trials"]["imported"], study["trials"]["succeeded"]) == (3, 0)
    trials = http.get(f"/v1/studies/{study_id}/trials").json()["trials"]
    assert [trial["state"] for trial in trials] == ["SUCCEEDED", "INFEASIBLE", "SUCCEEDED"]
    assert trials[0]["parameters"] == {"learningRate": 1.0, "kernel": "rbf"}
    assert {trial["generated_by"] for trial in trials} == {"imported"}
    front = http.get(f"/v1/studies/{study_id}/pareto_front").json()
    assert (front["sequence"], len(front["points"])) == (1, 2)
    with transaction() as session:
        types = [event.type for event in session.query(Event).order_by(Event.sequence)]
    assert types == ["study.created", *["trial.imported"] * 3, "front.stored"]


def test_the_optimiser_learns_from_past_results_and_the_budget_stays(http: TestClient) -> None:
    """It hears metrics and what was infeasible, proposes none of them again, and ends after its budget."""
    study_id = created(http, starting_points=[])
    imported(
        http, study_id, {"parameters": POINT, "metrics": METRICS}, {"parameters": POLY, "infeasible": "s"}
    )
    with transaction() as session:
        request = read_request(session, study_id)
    assert request is not None
    assert [item.metrics for item in request.observations] == [METRICS, None]
    for number in (2, 3, 4):
        advance_study(study_id)
        (trial,) = asked(http, study_id)
        assert trial["number"] == number
        told(http, trial, "complete", state="SUCCEEDED", metrics=METRICS)
    study = http.get(f"/v1/studies/{study_id}").json()
    assert (study["state"], study["trials"]["succeeded"]) == ("SUCCEEDED", 3)
    answer = imported(http, study_id, {"parameters": POINT, "metrics": METRICS})
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/wrong-state")


def test_what_is_known_exactly_is_computed(http: TestClient) -> None:
    """A peft study fills in the parameter count, and refuses another one."""
    space = {"parameters": [{"type": "ordinal", "name": "peft.lora.rank", "choices": [2, 4]}]}
    study_id = str(http.post("/v1/studies", json=study_body(search_space=space)).json()["id"])
    parameters = {"peft.lora.rank": 4}
    wrong = {"score": 0.7, "trainable_parameters": 1.0}
    refused = imported(http, study_id, {"parameters": parameters, "metrics": wrong})
    assert pointers(refused) == ["/observations/0/metrics/trainable_parameters"]
    assert imported(http, study_id, {"parameters": parameters, "metrics": {"score": 0.7}}).status_code == 200
    with transaction() as session:
        (trial,) = queries.list_trials(session, study_id)
        study = session.get_one(Study, study_id)
        assert trial.metrics["trainable_parameters"] > 1000
        assert study.hypervolume is not None


def test_a_study_that_is_created_paused_proposes_nothing_before_it_is_resumed(http: TestClient) -> None:
    """Not even the starting points: past results come first, and nothing races with them."""
    study_id = created(http, state="PAUSED", budget={"trials": 1})
    advance_study(study_id)
    study = http.get(f"/v1/studies/{study_id}").json()
    assert (study["state"], study["trials"]["queued"]) == ("PAUSED", 0)
    assert asked(http, study_id) == []
    past = {"parameters": POINT, "metrics": METRICS}
    assert imported(http, study_id, past).json() == {"imported": 1, "already_known": 0}
    assert http.post(f"/v1/studies/{study_id}:resume").json()["state"] == "ACTIVE"
    advance_study(study_id)
    (trial,) = asked(http, study_id)
    assert trial["parameters"] != POINT
    with transaction() as session:
        check_study(session, study_id)


@pytest.mark.parametrize("state", ["SUCCEEDED", "CANCELLED", "paused", 1])
def test_a_study_starts_active_or_paused(http: TestClient, state: object) -> None:
    """And the sentence names both, in words of the contract."""
    answer = http.post("/v1/studies", json=custom_body(state=state))
    assert pointers(answer) == ["/state"]
    assert answer.json()["errors"][0]["detail"] == "Input should be 'ACTIVE' or 'PAUSED'"


@pytest.mark.parametrize("result", [{"metrics": METRICS}, {"infeasible": "it broke"}])
@pytest.mark.parametrize("replicates", [1, 2])
def test_a_past_result_of_a_queued_trial_ends_it(
    http: TestClient, result: dict[str, object], replicates: int
) -> None:
    """It is not lost, costs the trial's place in the budget, and nobody is handed the trial."""
    study_id = created(http, replicates=replicates, parallelism=replicates, budget={"trials": 1})
    advance_study(study_id)
    past = {"parameters": POINT, **result}
    assert imported(http, study_id, past).json() == {"imported": 1, "already_known": 0}
    (trial,) = http.get(f"/v1/studies/{study_id}/trials").json()["trials"]
    expected = ("SUCCEEDED", METRICS) if "metrics" in result else ("INFEASIBLE", {})
    assert (trial["state"], trial["metrics"]) == expected
    assert trial["on_front"] == ("metrics" in result)
    study = http.get(f"/v1/studies/{study_id}").json()
    assert (study["state"], study["trials"]["imported"]) == ("SUCCEEDED", 0)
    with transaction() as session:
        check_study(session, study_id)


def test_a_past_result_of_the_last_of_two_seeds_is_known_when_it_comes_again(http: TestClient) -> None:
    """Though the trial has the mean of both."""
    study_id = created(http, replicates=2)
    advance_study(study_id)
    (seed,) = asked(http, study_id)
    told(http, seed, "complete", state="SUCCEEDED", metrics=METRICS)
    past = {"parameters": seed["parameters"], "metrics": {"error": 0.75, "watts": 40.0}}
    assert imported(http, study_id, past).json() == {"imported": 1, "already_known": 0}
    assert imported(http, study_id, past).json() == {"imported": 0, "already_known": 1}


def test_all_results_of_one_request_are_kept_though_the_first_ends_the_study(http: TestClient) -> None:
    """The queued trial of the last of the budget is among them, and so is a new one after it."""
    study_id = created(http, budget={"trials": 1})
    advance_study(study_id)
    past = [{"parameters": POINT, "metrics": METRICS}, {"parameters": POLY, "metrics": METRICS}]
    assert imported(http, study_id, *past).json() == {"imported": 2, "already_known": 0}
    study = http.get(f"/v1/studies/{study_id}").json()
    assert (study["state"], study["trials"]["succeeded"], study["trials"]["imported"]) == ("SUCCEEDED", 1, 1)


def test_a_past_result_of_a_trial_that_is_run_is_refused(http: TestClient) -> None:
    """409 with a pointer and what to do; the runner's own result is taken, the same again is known."""
    study_id = created(http)
    advance_study(study_id)
    (trial,) = asked(http, study_id)
    past = {"parameters": POINT, "metrics": METRICS}
    new = {"parameters": POLY, "metrics": METRICS}
    answer = imported(http, study_id, new, past)
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/conflicting-result")
    (error,) = answer.json()["errors"]
    assert error["pointer"] == "/observations/1"
    assert "let it complete" in error["detail"]
    told(http, trial, "complete", state="SUCCEEDED", metrics=METRICS)
    assert imported(http, study_id, new, past).json() == {"imported": 1, "already_known": 1}


@pytest.mark.parametrize(
    "result",
    [{"metrics": {**METRICS, "watts": 41.0}}, {"metrics": {**METRICS, "more": 1.0}}, {"infeasible": "no"}],
)
def test_another_result_of_a_known_trial_is_refused(http: TestClient, result: dict[str, object]) -> None:
    """Neither dropped nor mixed in: 409, and the trial is what it was."""
    study_id = created(http)
    imported(http, study_id, {"parameters": POINT, "metrics": METRICS})
    answer = imported(http, study_id, {"parameters": POINT, **result})
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/conflicting-result")
    assert ":correct" in answer.json()["errors"][0]["detail"]
    (trial,) = http.get(f"/v1/studies/{study_id}/trials").json()["trials"]
    assert trial["metrics"] == METRICS


def test_a_metric_of_many_digits_is_known_again(http: TestClient) -> None:
    """The database keeps 1e23 as an integer, which is another number in Python."""
    study_id = created(http)
    past = {"parameters": POINT, "metrics": {"error": 1e23, "watts": 1e-300}}
    assert imported(http, study_id, past).json()["imported"] == 1
    assert imported(http, study_id, past).json()["already_known"] == 1


@pytest.mark.parametrize(
    ("objectives", "constraints", "reference"),
    [
        ([("error", "minimize", 2.0), ("watts", "maximize", 1.0)], [], [2.0, 1.0]),
        ([("error", "minimize", None), ("watts", "minimize", 99.0)], [("error", "<=", 2.0)], [2.0, 99.0]),
        ([("error", "maximize", None)], [("error", ">=", 0.1), ("error", ">=", 0.2)], [0.2]),
        ([("error", "maximize", None)], [("error", "<=", 2.0)], None),
        ([("error", "minimize", None)], [("watts", "<=", 99.0)], None),
    ],
)
def test_hypervolume_is_there_from_the_first_result_where_a_reference_follows_from_the_study(
    http: TestClient,
    objectives: list[tuple[str, str, float | None]],
    constraints: list[tuple[str, str, float]],
    reference: list[float] | None,
) -> None:
    """One is given, or a limit leaves no worse value; otherwise the fifth result settles it."""
    study_id = created(
        http,
        objectives=[
            dict(zip(("metric", "direction", "reference"), item, strict=True)) for item in objectives
        ],
        constraints=[dict(zip(("metric", "op", "bound"), item, strict=True)) for item in constraints],
    )
    imported(http, study_id, {"parameters": POINT, "metrics": METRICS})
    study = http.get(f"/v1/studies/{study_id}").json()
    assert study["reference_point"] == reference
    assert (study["hypervolume"] is None) == (reference is None)
