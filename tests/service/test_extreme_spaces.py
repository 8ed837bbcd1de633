"""Whole studies on spaces where arithmetic ends: what is suggested is stored, told, read and recognised."""

from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from service.storage.database import transaction
from service.storage.models import Study, Trial
from service.studies.canonical_trials import trial_keys
from service.study_worker import advance_study
from tests.conftest import sampled
from tests.service.trials.test_ask_and_tell import asked, created, custom_body, told

OBJECTIVES = [{"metric": "error", "direction": "minimize"}]


def when(*values: object) -> dict[str, object]:
    return {"parameter": "a", "in": list(values)}


SPACES: dict[str, list[dict[str, Any]]] = {
    "doubles that JSONB writes as integers": [
        {"type": "float", "name": "a", "low": 1e16, "high": 1e21, "log": True}
    ],
    "choices that JSONB writes as integers": [
        {"type": "categorical", "name": "a", "choices": [1e18, 1e23, True, 1, "1", -0.0, 2**60]},
        {"type": "ordinal", "name": "b", "choices": [-0.0, 1e16], "when": when(1e23, 1)},
    ],
    "a level narrower than a code's tolerance": [
        {"type": "int", "name": "a", "low": 1, "high": 10**9, "log": True},
        {"type": "float", "name": "b", "low": 0, "high": 1, "when": when(10**9, 999999999)},
    ],
    "integers up to 2**53": [
        {"type": "int", "name": "a", "low": -(2**53), "high": 2**53},
        {"type": "bool", "name": "b", "when": when(2**53, 0)},
    ],
    "a child of a real number": [
        {"type": "float", "name": "a", "low": 0.0, "high": 1.0},
        {"type": "float", "name": "b", "low": -1.0, "high": 0.0, "when": when(0.0, 0.3, 1.0)},
    ],
    "wider than the largest double": [{"type": "float", "name": "a", "low": -1e308, "high": 1e308}],
    "subnormal numbers": [{"type": "float", "name": "a", "low": 1e-310, "high": 1, "log": True}],
    "steps and constants": [
        {"type": "float", "name": "a", "low": 0, "high": 1, "step": 0.1},
        {"type": "float", "name": "b", "low": 3, "high": 3, "when": when(0.3)},
        {"type": "categorical", "name": "c", "choices": ["only"]},
    ],
}  # fmt: skip


OURS = [(name, "paretune") for name in SPACES]
OTHERS = list(zip(SPACES, ["random", "sobol"] * 4, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "proposer"), sampled(OURS + OTHERS, keep=OURS[::2] + OTHERS[1::2]))
def test_a_study_runs_to_its_end(http: TestClient, name: str, proposer: str) -> None:
    """Its budget is spent; what is read back has the key that was stored, and is legal there."""
    space = {"parameters": SPACES[name]}
    study_id = created(
        http,
        search_space=space,
        objectives=OBJECTIVES,
        budget={"trials": 9},
        starting_points=[],
        proposals={"proposer": proposer},
    )
    for turn in range(9):
        advance_study(study_id)
        (trial,) = asked(http, study_id)
        again = told(http, trial, "complete", state="SUCCEEDED", metrics={"error": 1.0 / (turn + 1)})
        assert again.status_code == 200, again.text
    with transaction() as session:
        study = session.get_one(Study, study_id)
        key = trial_keys(study)
        for row in session.scalars(select(Trial).where(Trial.study_id == study_id)):
            assert key(row.parameters) == row.configuration_key
    known = http.get(f"/v1/studies/{study_id}/trials").json()["trials"]
    other = created(http, search_space=space, objectives=OBJECTIVES, starting_points=[])
    again = http.post(
        f"/v1/studies/{other}/trials:import",
        json={"observations": [{"parameters": t["parameters"], "metrics": t["metrics"]} for t in known]},
    )
    assert again.status_code == 200, again.text
    assert again.json()["imported"] == 9


def test_a_clone_with_another_parameter_knows_nothing_of_its_source(http: TestClient) -> None:
    """Whatever the parameter's type: no past result has a value for it."""
    study_id = created(
        http, search_space={"parameters": SPACES["a child of a real number"]}, starting_points=[]
    )
    observation = {"parameters": {"a": 0.0, "b": -0.5}, "metrics": {"error": 1.0, "watts": 1.0}}
    http.post(f"/v1/studies/{study_id}/trials:import", json={"observations": [observation]})
    for added in (
        {"type": "float", "low": 0, "high": 1},
        {"type": "float", "low": 0, "high": 1, "step": 0.5},
        {"type": "int", "low": 0, "high": 1},
        {"type": "ordinal", "choices": [1, 2]},
        {"type": "categorical", "choices": [1, 2]},
        {"type": "bool"},
    ):
        parameters = [*SPACES["a child of a real number"], {"name": "c", **added}]
        answer = http.post(
            f"/v1/studies/{study_id}:clone",
            json={"edits": {"search_space": {"parameters": parameters}}, "import_trials": True},
        )
        assert answer.status_code == 201, answer.text
        assert answer.json()["trials"]["imported"] == 0


def test_a_clone_recognises_an_integer_that_has_become_a_real_number(http: TestClient) -> None:
    """3 is 3.0: the same configuration, spelled as the new space does."""
    space = [{"type": "int", "name": "a", "low": 0, "high": 9}]
    study_id = created(http, search_space={"parameters": space}, starting_points=[])
    observations = [{"parameters": {"a": 3.0}, "metrics": {"error": 1.0, "watts": 1.0}}]
    assert (
        http.post(f"/v1/studies/{study_id}/trials:import", json={"observations": observations}).status_code
        == 200
    )
    edited = [{"type": "float", "name": "a", "low": 0, "high": 9}]
    clone = http.post(
        f"/v1/studies/{study_id}:clone",
        json={"edits": {"search_space": {"parameters": edited}}, "import_trials": True},
    ).json()
    assert clone["trials"]["imported"] == 1
    with transaction() as session:
        key = trial_keys(session.get_one(Study, clone["id"]))
        (row,) = session.scalars(select(Trial).where(Trial.study_id == clone["id"]))
        assert repr(row.parameters) == "{'a': 3.0}"
        assert key(row.parameters) == row.configuration_key


@pytest.mark.parametrize("value", [True, "3", None, [1], 10**400])
def test_what_is_no_number_is_no_metric(http: TestClient, value: object) -> None:
    """Told or imported: true is not 1, and "3" is a text."""
    study_id = created(http)
    advance_study(study_id)
    (trial, *_) = asked(http, study_id)
    answer = told(http, trial, "complete", state="SUCCEEDED", metrics={"error": value, "watts": 1})
    assert answer.status_code == 422
    observation = {
        "parameters": {"learningRate": 0.5, "kernel": "rbf"},
        "metrics": {"error": value, "watts": 1},
    }
    answer = http.post(f"/v1/studies/{study_id}/trials:import", json={"observations": [observation]})
    assert answer.status_code == 422


@pytest.mark.parametrize("value", [True, "0.5"])
@pytest.mark.parametrize("place", ["starting_points", "bound", "reference"])
def test_what_is_no_number_is_none_in_a_study_either(http: TestClient, place: str, value: object) -> None:
    """Values of starting points, bounds and references."""
    changes: dict[str, object] = {
        "starting_points": {"starting_points": [{"learningRate": value, "kernel": "rbf"}]},
        "bound": {"constraints": [{"metric": "watts", "op": "<=", "bound": value}]},
        "reference": {"objectives": [{"metric": "e", "direction": "minimize", "reference": value}]},
    }[place]  # type: ignore[assignment]
    assert http.post("/v1/studies", json=custom_body(**changes)).status_code == 422


def test_whoever_misspells_everything_is_told_the_first_hundred_errors(http: TestClient) -> None:
    """Of a study and of past results alike: a hint costs time."""
    wrong = {f"learningRat{number}": 0.5 for number in range(300)}
    answer = http.post("/v1/studies", json=custom_body(starting_points=[wrong]))
    assert (answer.status_code, len(answer.json()["errors"])) == (422, 100)
    assert "Did you mean 'learningRate'?" in answer.text
    body = {"observations": [{"parameters": wrong, "metrics": {"error": 1, "watts": 1}}]}
    answer = http.post(f"/v1/studies/{created(http)}/trials:import", json=body)
    assert (answer.status_code, len(answer.json()["errors"])) == (422, 100)
