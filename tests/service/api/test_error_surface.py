"""Every refusal of every operation: a problem, of a type with a page, that the document promises.

Made from the document, so a new operation is covered when it is added.
"""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import create_engine

from api_schemas.access import KeyScope
from service.access import callers, tenants
from service.access.rate_limit import RateLimit
from service.settings import settings
from service.storage import database
from service.storage.database import transaction
from tests.conftest import API_KEY, Connect, application
from tests.service.api.test_routes import BODIES
from tests.service.conftest import bearer

JSON = {"Content-Type": "application/json"}
DOCUMENT = application().openapi()["paths"]
OPERATIONS = [
    (method.upper(), path)
    for path, operations in DOCUMENT.items()
    for method in operations
    if path.startswith("/v1")
]
UPLOAD = ("PUT", "/v1/task_files/{name}")


@pytest.fixture
def client(service_environment: None, connect: Connect) -> TestClient:
    return connect(headers=bearer(API_KEY), raise_server_exceptions=False)


def address(path: str) -> str:
    names = {"{study_id}": f"std_{'0' * 32}", "{trial_id}": f"trl_{'0' * 32}", "{webhook_id}": "whk_0"}
    return re.sub(r"{\w+}", lambda found: names.get(found[0], "nobody"), path)


def probes(method: str, path: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """What is wrong with a request, and the status that says so."""
    url, body = address(path), BODIES.get((method, path))
    yield 401, {"url": url, "json": body, "headers": {"Authorization": "Bearer wrong"}}
    yield 422, {"url": f"{url}?nobody_reads_this=1", "json": body}
    if (method, path) != UPLOAD:
        yield 413, {"url": url, "content": b" " * (settings().max_body_bytes + 1), "headers": JSON}
    if "{" in path:
        yield 404, {"url": re.sub(r"{\w+}", "%00", path), "json": body}
    if method in ("POST", "PATCH"):
        yield 415, {"url": url, "content": b"{}", "headers": {"Content-Type": "text/plain"}}
    if body is not None:
        yield 400, {"url": url, "content": b"{", "headers": JSON}


def refused(client: TestClient, answer: httpx.Response, method: str, path: str) -> None:
    """Hold an answer to what every refusal must be."""
    told = (method, path, answer.status_code, answer.text)
    assert answer.headers["content-type"] == "application/problem+json", told
    assert str(answer.status_code) in DOCUMENT[path][method.lower()]["responses"], told
    if method == "HEAD":
        return  # it has no body
    problem = answer.json()
    assert problem["status"] == answer.status_code
    assert client.get(problem["type"]).status_code == 200, told


def test_each_operation_refuses_what_is_wrong(client: TestClient) -> None:
    """400, 401, 404, 413, 415 and 422, wherever they can be, and each is promised."""
    seen: Counter[int] = Counter()
    for method, path in OPERATIONS:
        for expected, request in probes(method, path):
            answer = client.request(method, **request)
            assert answer.status_code == expected, (method, path, request, answer.text)
            refused(client, answer, method, path)
            seen[expected] += 1
    assert set(seen) == {400, 401, 404, 413, 415, 422}


def test_each_operation_keeps_to_its_scope(client: TestClient) -> None:
    """403 for whoever may only read, as a problem."""
    with transaction() as session:
        tenant = tenants.find_tenant(session, "default")
        assert tenant is not None
        tenants.add_key(session, "pt_reader", tenant_id=tenant.id, name="reader", scope=KeyScope.READ)
    for method, path in OPERATIONS:
        if method not in ("GET", "HEAD"):
            headers = {"Authorization": "Bearer pt_reader"}
            answer = client.request(method, address(path), json=BODIES.get((method, path)), headers=headers)
            assert answer.status_code == 403, (method, path, answer.text)
            refused(client, answer, method, path)


def test_each_operation_counts_requests(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """429 with when to come back."""
    # `setattr` would leave no attribute at all behind, for a state keeps its values elsewhere.
    monkeypatch.setitem(application().state._state, "rate_limit", RateLimit(rate=1e-6, burst=1))
    client.get("/v1/studies")
    for method, path in OPERATIONS:
        answer = client.request(method, address(path), json=BODIES.get((method, path)))
        assert (answer.status_code, "retry-after" in answer.headers) == (429, True), (
            method,
            path,
            answer.text,
        )
        refused(client, answer, method, path)


def test_a_database_that_is_away_is_a_problem(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """503 from each operation, with when to come back and without the database's address."""
    away = create_engine("postgresql+psycopg://nobody:hunter2@127.0.0.1:1/none")
    with monkeypatch.context() as patch:
        patch.setattr(database, "engine", lambda: away)
        patch.setattr(callers, "engine_of_single_reads", lambda: away)
        patch.setattr(callers, "_query", lambda: b"SELECT 1")
        answers = [
            (client.request(method, address(path), json=BODIES.get((method, path))), method, path)
            for method, path in OPERATIONS
        ]
    for answer, method, path in answers:
        assert (answer.status_code, "retry-after" in answer.headers) == (503, True), (
            method,
            path,
            answer.text,
        )
        assert "hunter2" not in answer.text
        refused(client, answer, method, path)


def test_a_crash_tells_nothing_of_its_inside(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """500 from each operation, whatever was raised: a problem without the text of an exception."""

    def explode(*_: object) -> None:
        raise ZeroDivisionError("the secret")

    monkeypatch.setattr(callers, "caller_of", explode)
    for method, path in OPERATIONS:
        answer = client.request(method, address(path), json=BODIES.get((method, path)))
        assert answer.status_code == 500
        assert method == "HEAD" or answer.json()["type"] == "/problems/internal-error"
        assert answer.headers["content-type"] == "application/problem+json"
        assert "secret" not in answer.text
        assert "ZeroDivision" not in answer.text


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/studies/std_1:fly"),
        ("POST", "/v1/studies/std_1/trials/trl_1:fly"),
        ("POST", "/v1/studies/std_1/trials:fly"),
        ("GET", "/v1/studies/std_1:pause"),
        ("FLY", "/v1/studies"),
        ("PUT", "/v1/studies/std_1"),
        ("POST", "/v1/nothing"),
        ("DELETE", "/healthz"),
        ("GET", "/v2"),
        ("FLY", "/"),
    ],
)
def test_an_unknown_verb_method_or_route_is_a_problem(client: TestClient, method: str, path: str) -> None:
    """404, or 405 with the methods that there are; each of a type with a page."""
    answer = client.request(method, path)
    assert answer.status_code in (404, 405)
    assert ("allow" in answer.headers) == (answer.status_code == 405)
    assert answer.headers["content-type"] == "application/problem+json"
    assert client.get(answer.json()["type"]).status_code == 200
