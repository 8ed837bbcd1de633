"""What is misspelt or declared wrongly is refused, not ignored."""

import pytest
from fastapi.testclient import TestClient

from tests.conftest import study_body
from tests.service.trials.test_leases import stored_study


def test_a_query_parameter_that_nobody_reads_is_refused(client: TestClient) -> None:
    """422 that names it, on a list as on a single thing; what is documented passes."""
    study = f"/v1/studies/{stored_study(trials=1)}"
    for url in ("/v1/studies", study, f"{study}/trials", "/v1/task_files"):
        response = client.get(url, params={"pagesize": 3})
        assert response.status_code == 422
        assert [item["pointer"] for item in response.json()["errors"]] == ["query:/pagesize"]
    assert client.get("/v1/studies", params={"page_size": 3}).status_code == 200


@pytest.mark.parametrize("declared", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_a_body_of_another_type_is_refused(client: TestClient, declared: str) -> None:
    """415, before anybody asks whether it would have been JSON."""
    response = client.post("/v1/studies", content=b"{}", headers={"Content-Type": declared})
    assert response.status_code == 415
    assert response.json()["type"] == "/problems/unsupported-media-type"


def test_json_may_name_its_encoding(client: TestClient) -> None:
    """`application/json; charset=utf-8` is JSON."""
    body = study_body()
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}
    assert client.post("/v1/studies", json=body, headers=headers).status_code == 201


@pytest.mark.parametrize(("method", "url"), [("PUT", "/v1/studies"), ("DELETE", "/v1/task_files")])
def test_a_method_that_a_resource_does_not_take_is_a_problem(
    client: TestClient, method: str, url: str
) -> None:
    """405 with the methods that it takes."""
    response = client.request(method, url)
    assert (response.status_code, response.json()["type"]) == (405, "/problems/method-not-allowed")
    assert response.headers["allow"]
