"""Refusals over HTTP: near names, examples, and pointers into the body that was sent."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api_schemas.base import WITHOUT_NUL
from api_schemas.errors import MOST_ERRORS
from tests.conftest import study_body
from tests.service.trials.test_leases import stored_study


def _errors(response: Any) -> dict[str, str]:
    assert response.status_code == 422, response.text
    return {item["pointer"]: item["detail"] for item in response.json()["errors"]}


def test_a_misspelt_key_names_the_nearest(client: TestClient) -> None:
    """In a body at any depth, in an edit, and in a query."""
    body = study_body(objectives=[{"metric": "score", "directon": "maximize"}])
    told = _errors(client.post("/v1/studies", json=body))
    assert told["/objectives/0/directon"].endswith("Did you mean 'direction'?")
    study = f"/v1/studies/{stored_study(trials=1)}"
    told = _errors(client.patch(study, json={"paralelism": 2}, headers={"If-Match": "*"}))
    assert told["/paralelism"].endswith("Did you mean 'parallelism'?")
    told = _errors(client.post(f"{study}:clone", json={"edits": {"budget": {"trails": 2}}}))
    assert [detail for pointer, detail in told.items() if pointer.endswith("/budget/trails")] == [
        "There is no 'trails' here. Did you mean 'trials'?"
    ]
    told = _errors(client.get("/v1/studies", params={"page_sise": 3}))
    assert told["query:/page_sise"].endswith("Did you mean 'page_size'?")


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("training.lr", "training.learning_rate"),
        ("peft.lora.r", "peft.lora.rank"),
        ("lora.rank", "peft.lora"),
    ],
)
def test_an_unknown_path_of_the_search_space_names_near_ones(
    client: TestClient, name: str, near: str
) -> None:
    """Of the paths that can be searched."""
    space = {"parameters": [{"type": "float", "name": name, "low": 0.1, "high": 0.5}]}
    told = _errors(client.post("/v1/studies", json=study_body(search_space=space)))
    assert f"Did you mean '{near}" in told["/search_space/parameters/0"]


def test_a_malformed_bound_shows_an_example(client: TestClient) -> None:
    """And no regular expression."""
    told = _errors(
        client.get(f"/v1/studies/{stored_study(trials=1)}/recommendation", params={"at_most": "score"})
    )
    assert told == {"query:/at_most/0": "'score' is not written as it must be, as in 'score:0.8'."}


def test_a_flood_of_errors_is_cut(client: TestClient) -> None:
    """Else an answer would be larger than the request, and near names would take minutes."""
    body = study_body(**{f"key{number}": 1 for number in range(5000)})
    response = client.post("/v1/studies", json=body)
    assert response.status_code == 422
    assert len(response.json()["errors"]) == MOST_ERRORS


def test_every_pattern_of_the_contract_has_an_example(client: TestClient) -> None:
    """Nobody is shown a regular expression."""
    assert set(_bare_patterns(client.get("/openapi.json").json())) <= {WITHOUT_NUL}


def _bare_patterns(node: Any) -> Iterator[str]:
    """Those without an example beside them, or beside the alternatives that they stand among."""
    if isinstance(node, list):
        for inner in node:
            yield from _bare_patterns(inner)
    elif isinstance(node, dict) and "examples" not in node:
        if isinstance(node.get("pattern"), str):
            yield node["pattern"]
        for inner in node.values():
            yield from _bare_patterns(inner)
