"""Slices of a study's models, through the HTTP door."""

from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from api_schemas.importance import Importance
from api_schemas.search_space import Parameterization
from api_schemas.slices import Slice
from service.api.read_models.slices import NOT_SLICED
from service.suggestions.parameter_importance import store_weighing
from tests.conftest import OTHER_KEY
from tests.service.trials.test_ask_and_tell import METRICS, POINT, created

RATE, KERNEL = "learningRate", "kernel"
THROUGH: Parameterization = {"learningRate": 0.1, "kernel": "rbf"}
ALONG = Slice(
    metric="error", parameter=RATE, values=(0.001, 0.01, 0.1), means=(0.5, 0.4, 0.3), lower=(0.4, 0.3, 0.2),
    upper=(0.6, 0.5, 0.4), exact=False, through=THROUGH,
)  # fmt: skip
OVER = Slice(
    metric="error", parameter=RATE, second=KERNEL, values=(0.001, 0.01, 0.1), second_values=("rbf", "linear"),
    means=(1, 2, 3, 4, 5, 6), lower=(0, 1, 2, 3, 4, 5), upper=(2, 3, 4, 5, 6, 7), exact=False,
    through=THROUGH,
)  # fmt: skip


def sliced(session: Session, http: TestClient) -> str:
    """A custom study with one result, whose models have been sliced."""
    study_id = created(http)
    body = {"observations": [{"parameters": POINT, "metrics": METRICS}]}
    assert http.post(f"/v1/studies/{study_id}/trials:import", json=body).status_code == 200
    store_weighing(session, study_id, Importance(observations=20), [ALONG, OVER])
    session.commit()
    return study_id


def read(http: TestClient, study_id: str, query: str = "") -> Any:
    answer = http.get(f"/v1/studies/{study_id}/slice{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_before_the_models_are_sliced_the_reason_is_given(http: TestClient) -> None:
    """It is the reason why nothing is weighed yet; a study of another tenant does not exist."""
    study_id = created(http)
    found = read(http, study_id)
    assert (found["slice"], found["parameters"], found["reason"]) == (None, [], "no result yet")
    other = {"Authorization": f"Bearer {OTHER_KEY}"}
    assert http.get(f"/v1/studies/{study_id}/slice", headers=other).status_code == 404


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("?objective=beauty", "query:objective"),
        ("?parameter=none.such", "query:parameter"),
        ("?parameter=kernel&second=none.such", "query:second"),
        ("?parameter=kernel&second=kernel", "query:second"),
    ],
)
def test_what_the_study_does_not_have_is_refused(http: TestClient, query: str, pointer: str) -> None:
    """422 that names the field of the query."""
    refused = http.get(f"/v1/studies/{created(http)}/slice{query}")
    assert refused.status_code == 422
    assert [item["pointer"] for item in refused.json()["errors"]] == [pointer]


def test_a_slice_is_given_as_it_was_stored(session: Session, http: TestClient) -> None:
    """The first parameter of the first objective unless told otherwise, and what it can be combined with."""
    study_id = sliced(session, http)
    found = read(http, study_id)
    assert found["slice"] == ALONG.model_dump(mode="json")
    assert (found["observations"], found["through_number"]) == (20, 0)
    assert (found["parameters"], found["pairs"], found["reason"]) == ([RATE], [KERNEL], None)
    assert read(http, study_id, f"?objective=error&parameter={RATE}") == found


def test_a_slice_over_two_begins_with_the_one_that_is_asked_for(session: Session, http: TestClient) -> None:
    """Stored once, it is turned: row by row along the first."""
    study_id = sliced(session, http)
    plain = read(http, study_id, f"?parameter={RATE}&second={KERNEL}")["slice"]
    assert plain == OVER.model_dump(mode="json")
    turned = read(http, study_id, f"?parameter={KERNEL}&second={RATE}")["slice"]
    assert (turned["values"], turned["second_values"]) == (plain["second_values"], plain["values"])
    assert turned["means"] == [1, 4, 2, 5, 3, 6]


def test_a_parameter_of_little_weight_has_no_slice_and_the_answer_says_which_have(
    session: Session, http: TestClient
) -> None:
    """Rather than an error: the page shows the words."""
    found = read(http, sliced(session, http), f"?parameter={KERNEL}")
    assert (found["slice"], found["reason"], found["parameters"]) == (None, NOT_SLICED, [RATE])
