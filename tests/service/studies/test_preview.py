"""What a study would be if it were posted: the same checks, nothing stored."""

import pytest
from fastapi.testclient import TestClient

from api_schemas.studies import StudyCreate
from service.trials import leases
from tests.conftest import study_body
from tests.service.trials.test_leases import REPORT, stored_study

VALIDATE = "/v1/studies:validate"
CONFIGURATION = {"backbone": "all-MiniLM-L6-v2", "task": {"name": "rotten-tomatoes"}}
Changes = dict[str, object]


@pytest.mark.parametrize(
    "changes",
    [
        {"objectives": [{"metric": "beauty", "direction": "maximize"}]},
        {"configuration": {"backbone": "gpt-17", "task": {"name": "rotten-tomatoes"}}},
        {"proposals": {"warm_start": {"studies": [f"std_{'0' * 32}"]}}},
        {"budget": {"trials": 0}},
        {"unknown": 1},
    ],
)
def test_what_posting_refuses_is_refused_alike(client: TestClient, changes: Changes) -> None:
    """The very same problem, whichever check finds it."""
    posted = client.post("/v1/studies", json=study_body(**changes))
    checked = client.post(VALIDATE, json=study_body(**changes))
    assert checked.status_code == posted.status_code == 422
    assert checked.json()["errors"] == posted.json()["errors"]


def test_a_valid_study_is_shown_settled_and_not_stored(client: TestClient) -> None:
    """Its space is expanded, what it leaves out is written out, and its first trials say what they train."""
    body = study_body(search_space={"preset": "auto"}, budget={"trials": 20})
    found = client.post(VALIDATE, json=body).json()
    assert found["study"]["search_space"]["parameters"]
    assert found["study"]["race"] == {"share": 0.25}
    assert found["classes"] == 2
    default = found["first_trials"][0]
    assert default["modules"] == "LoRA 8 (query, value) on all 6 layers"
    assert default["configuration"]["training"]["learning_rate"] > 0
    assert default["exact_metrics"]["trainable_parameters"] == 74_498
    assert found["estimate"] is None
    assert client.get("/v1/studies").json()["studies"] == []


def test_the_settled_study_means_the_same(client: TestClient) -> None:
    """Posted, it is the study that the first document would have been."""
    body = study_body(search_space={"preset": "auto"}, budget={"trials": 20})
    settled = client.post(VALIDATE, json=body).json()["study"]
    StudyCreate.model_validate(settled)
    first, second = (client.post("/v1/studies", json=document).json() for document in (body, settled))
    for field in ("configuration", "search_space", "starting_points", "race", "objectives", "proposals"):
        assert first[field] == second[field]


def test_a_custom_study_has_its_points_as_they_stand(client: TestClient) -> None:
    """No modules, and no estimate: what its trials take is its owner's to know."""
    point = {"x": 0.5}
    body = {
        "kind": "custom",
        "display_name": "mine",
        "search_space": {"parameters": [{"type": "float", "name": "x", "low": 0, "high": 1}]},
        "objectives": [{"metric": "cost", "direction": "minimize"}],
        "budget": {"trials": 2},
        "starting_points": [point],
    }
    found = client.post(VALIDATE, json=body).json()
    assert [trial["parameters"] for trial in found["first_trials"]] == [point]
    assert (found["first_trials"][0]["modules"], found["estimate"]) == (None, None)


def test_time_is_estimated_by_the_same_rows_whatever_their_name(client: TestClient) -> None:
    """A file that is only checked has a passing one."""
    csv = "text,label\n" + "".join(f"text {n},{n % 2}\n" for n in range(80))
    of = {name: {**CONFIGURATION, "task": {"name": f"file:{name}.csv"}} for name in ("a", "b", "c")}
    for name, content in (("a", csv), ("b", csv), ("c", csv.replace("text 0", "text zero"))):
        assert client.put(f"/v1/task_files/{name}.csv", content=content).status_code == 200
    study_id = stored_study(trials=1, configuration=of["a"])
    claimed = leases.claim("w")
    assert claimed is not None
    leases.complete(claimed.trial_id, claimed.attempt, REPORT)
    found = [client.post(VALIDATE, json=study_body(configuration=of[name])).json() for name in ("b", "c")]
    assert found[0]["estimate"]["study_id"] == study_id
    assert found[1]["estimate"] is None


def test_time_is_estimated_by_a_study_like_it(client: TestClient) -> None:
    """Trainings times the mean of its own, shared by the runners; another recipe says nothing."""
    study_id = stored_study(trials=1)
    claimed = leases.claim("w")
    assert claimed is not None
    leases.complete(claimed.trial_id, claimed.attempt, REPORT)
    found = client.post(VALIDATE, json=study_body(budget={"trials": 10}, parallelism=2)).json()["estimate"]
    assert (found["study_id"], found["trainings"], found["measured_trainings"]) == (study_id, 10, 1)
    assert found["seconds"] == pytest.approx(found["seconds_per_training"] * 5)
    recipe = {**CONFIGURATION, "training": {"epochs": 7}}
    assert client.post(VALIDATE, json=study_body(configuration=recipe)).json()["estimate"] is None
