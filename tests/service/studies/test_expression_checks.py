"""An expression that cannot be computed is refused when its study is posted, with field and character."""

import pytest
from fastapi.testclient import TestClient

from api_schemas.errors import MOST_ERRORS
from tests.conftest import study_body
from tests.service.trials.test_ask_and_tell import POINT, custom_body, pointers

ERROR = {"metric": "error", "direction": "minimize"}


def watts(known: str, **changes: object) -> dict[str, object]:
    return {"metric": "watts", "direction": "minimize", "known": known, **changes}


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ("", "at least 1 character"),
        ("1 +", "at character 4: a value is expected before the end"),
        ("2 * degre", "at character 5: the search space has no parameter 'degre'. Did you mean 'degree'?"),
        ("kernel", "at character 1: 'kernel' is no number"),
        ("1 / degree", "it must be a number of at most 1e50, but is not at kernel = 'rbf'"),
        ("exp(1000 * learningRate)", "but is not at learningRate = 1.0"),
        ("1" * 10_001, "at most 10000 characters"),
    ],
)
def test_an_expression_without_a_value_is_refused(http: TestClient, known: str, said: str) -> None:
    """It may be no expression, or have no number at a corner of the space."""
    answer = http.post("/v1/studies", json=custom_body(objectives=[ERROR, watts(known)]))
    assert pointers(answer) == ["/objectives/1/known"]
    assert said in answer.json()["errors"][0]["detail"]


def test_a_logarithmic_metric_must_be_greater_than_zero(http: TestClient) -> None:
    """Everywhere in the space, as a reported one must."""
    answer = http.post("/v1/studies", json=custom_body(objectives=[ERROR, watts("degree", log=True)]))
    assert pointers(answer) == ["/objectives/1/known"]
    assert "it must be greater than 0, but is not at kernel = 'rbf'" in answer.json()["errors"][0]["detail"]


def test_one_metric_has_one_expression(http: TestClient) -> None:
    """An objective and a limit on it may both name it, if it is the same."""
    limit = {"metric": "watts", "op": "<=", "bound": 9}
    body = custom_body(objectives=[ERROR, watts("degree")], constraints=[{**limit, "known": "degree + 1"}])
    assert pointers(http.post("/v1/studies", json=body)) == ["/constraints/0/known"]
    body = custom_body(objectives=[ERROR, watts("degree")], constraints=[{**limit, "known": "degree"}])
    assert http.post("/v1/studies", json=body).status_code == 201


def test_a_starting_point_needs_a_value(http: TestClient) -> None:
    """Corners do not show everything that lies between them."""
    objectives = [ERROR, watts("1 / (learningRate - 0.1)")]
    answer = http.post("/v1/studies", json=custom_body(objectives=objectives, starting_points=[POINT]))
    assert pointers(answer) == ["/starting_points/0"]


def test_an_identity_is_checked_alike(http: TestClient) -> None:
    """Each of its expressions."""
    space = {**custom_body()["search_space"], "identity": "degree, kernl == 1"}  # type: ignore[dict-item]
    answer = http.post("/v1/studies", json=custom_body(search_space=space))
    assert pointers(answer) == ["/search_space/identity"]
    assert "at character 9" in answer.json()["errors"][0]["detail"]


def test_a_peft_study_has_no_expressions(http: TestClient) -> None:
    """Its known metrics, and which of its trials are the same, are the service's to tell."""
    body = study_body(
        objectives=[{"metric": "score", "direction": "maximize", "known": "1"}],
        search_space={"preset": "lora", "identity": "1"},
    )
    assert pointers(http.post("/v1/studies", json=body)) == ["/objectives/0/known", "/search_space/identity"]


def test_an_answer_holds_no_more_faults_than_any_answer(http: TestClient) -> None:
    """Three thousand unknown names are not all looked up."""
    body = custom_body(objectives=[ERROR, watts("+".join(["q1"] * 3000))])
    assert pointers(http.post("/v1/studies", json=body)) == ["/objectives/1/known"] * MOST_ERRORS
