"""The application as a whole: keys, bodies, routes, crashes, and what it loads."""

import subprocess
import sys

import fastapi.routing
import pytest
from fastapi.routing import iter_route_contexts
from fastapi.testclient import TestClient

from service.api.app import create_app
from service.api.protocol.request_rules import query_names
from tests.conftest import API_KEY, OTHER_KEY, study_body


@pytest.mark.parametrize("headers", [{"Authorization": ""}, {"Authorization": "Bearer wrong"}])
@pytest.mark.parametrize("path", ["/v1/studies", "/v1/studies/std_1", "/v1/studies/std_1/pareto_front"])
def test_without_a_valid_key_nothing_is_told(client: TestClient, path: str, headers: dict[str, str]) -> None:
    """401 as a problem, with the scheme to use."""
    response = client.get(path, headers=headers)
    assert response.status_code == 401
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["www-authenticate"] == "Bearer"


def test_anothers_study_does_not_exist(client: TestClient) -> None:
    """404, the same answer as for a study that never was."""
    study_id = client.post("/v1/studies", json=study_body()).json()["id"]
    other = {"Authorization": f"Bearer {OTHER_KEY}"}
    for verb, path in (
        ("GET", ""), ("GET", "/trials"), ("GET", "/pareto_front"), ("GET", "/hypervolume_history"),
        ("GET", "/recommendation"), ("GET", "/importance"),
        ("POST", ":pause"), ("POST", ":resume"), ("POST", ":cancel"),
    ):  # fmt: skip
        assert client.request(verb, f"/v1/studies/{study_id}{path}", headers=other).status_code == 404
    assert client.get("/v1/studies", headers=other).json()["studies"] == []


def test_routes_are_complete_before_the_first_request(
    service_environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No request puts them together: beside another thread's warning filters that has failed."""
    app = create_app()
    monkeypatch.setattr(fastapi.routing, "get_dependant", lambda **_: pytest.fail("a request built a route"))
    with TestClient(app) as client:
        assert client.get("/v1/studies").status_code == 401


def test_a_query_does_not_wait_for_the_document(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writing it takes most of a second, in which the process would answer nobody."""
    written: list[int] = []
    monkeypatch.setattr(client.app, "openapi", lambda: written.append(1))
    assert client.get("/v1/studies?page_size=1").status_code == 200
    assert written == []


def test_the_parameters_that_routes_take_are_those_of_the_document(client: TestClient) -> None:
    """Fields of a query that is a schema among them; whatever else is asked is refused."""
    document = client.get("/openapi.json").json()["paths"]
    checked = 0
    for route in iter_route_contexts(client.app.routes):  # type: ignore[attr-defined]
        for method in getattr(route, "methods", None) or ():
            operation = document.get(route.path_format, {}).get(method.lower())
            if operation is not None and route.path_format.startswith("/v1/"):
                wanted = {item["name"] for item in operation.get("parameters", []) if item["in"] == "query"}
                assert query_names(route.dependant) == wanted, route.path_format
                checked += 1
    assert checked > 40


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe", b""])
def test_a_body_that_is_not_json_is_a_problem(client: TestClient, body: bytes) -> None:
    """400 or 422, never a crash."""
    response = client.post("/v1/studies", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code in (400, 422)
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("declared", [True, False])
def test_a_two_megabyte_body_is_refused(client: TestClient, declared: bool) -> None:
    """413, whether or not the length is declared."""
    chunk = b" " * 100_000
    content = chunk * 20 if declared else (chunk for _ in range(20))
    response = client.post("/v1/studies", content=content, headers={"Content-Type": "application/json"})
    assert response.status_code == 413
    assert response.headers["content-type"] == "application/problem+json"


def test_an_unknown_route_is_a_problem(client: TestClient) -> None:
    """404 with the same kind of body as every other error."""
    response = client.get("/v2/studies")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"


def test_a_crash_tells_nothing_of_its_inside(
    service_environment: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The text of an exception stays in the log, and local variables do not even get there."""

    def explode(*_: object, **__: object) -> None:
        password = "hunter" + str(2)
        raise RuntimeError("the secret", len(password))

    monkeypatch.setattr("service.storage.queries.list_studies", explode)
    with TestClient(create_app(), raise_server_exceptions=False) as client:
        response = client.get("/v1/studies", headers={"Authorization": f"Bearer {API_KEY}"})
    assert response.status_code == 500
    assert response.headers["content-type"] == "application/problem+json"
    assert "secret" not in response.text
    logged = capsys.readouterr().out
    assert "the secret" in logged
    assert "hunter2" not in logged


def test_every_error_in_the_document_is_a_problem(client: TestClient) -> None:
    """The OpenAPI document promises problem+json for every error it lists."""
    document = client.get("/openapi.json").json()
    assert "Problem" in document["components"]["schemas"]
    for path, operations in document["paths"].items():
        for operation in operations.values():
            for status, answer in operation["responses"].items():
                if status.startswith(("4", "5")):
                    assert list(answer["content"]) == ["application/problem+json"], (path, status)


@pytest.mark.slow
def test_the_application_does_not_load_torch() -> None:
    """A fresh process leaves torch, BoTorch and what sends traces out, and memory under 200 MB."""
    script = (
        "import sys, psutil; from service.app import create_app; create_app();"
        "print({'torch', 'botorch', 'transformers', 'service.optimization', 'opentelemetry.exporter',"
        "'google.protobuf'} & set(sys.modules));"
        "print(psutil.Process().memory_info().rss // 2**20)"
    )
    lines = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout.split("\n")
    assert lines[0] == "set()"
    assert int(lines[1]) < 200
