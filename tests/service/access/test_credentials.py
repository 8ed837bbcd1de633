"""Every route under every kind of credentials: nothing is told of a request before its key is checked."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, update

from api_schemas.access import KeyScope
from service.access.keys import key_hash
from service.settings import settings
from service.storage.database import transaction
from service.storage.models import ApiKey
from tests.conftest import API_KEY, OTHER_KEY, Connect
from tests.service.api.test_routes import BODIES, called_by, routes
from tests.service.conftest import Headers, bearer, new_key

UNUSABLE = {
    "none": {"Authorization": ""},
    "no scheme": {"Authorization": API_KEY},
    "a scheme alone": {"Authorization": "Bearer"},
    "a scheme and a space": {"Authorization": "Bearer "},
    "another scheme": {"Authorization": f"Basic {API_KEY}"},
    "a name that begins alike": {"Authorization": f"BearerX {API_KEY}"},
    "unknown": bearer("wrong"),
    "longer": bearer(f"{API_KEY}x"),
    "two at once": bearer(f"{API_KEY} {OTHER_KEY}"),
    "its hash": bearer(key_hash(API_KEY)),
}


@pytest.fixture
def stranger(service_environment: None, connect: Connect) -> TestClient:
    return connect()


def ended(ending: str) -> Headers:
    key = new_key(KeyScope.ADMIN)
    sha256 = key_hash(key["Authorization"].removeprefix("Bearer "))
    with transaction() as session:
        session.execute(
            update(ApiKey).where(ApiKey.sha256 == sha256).values({ending: func.clock_timestamp()})
        )
    return key


def wrong_requests(method: str, path: str) -> Iterator[dict[str, Any]]:
    """A good request, and what would be 400, 413, 415, 422 or 404 for whoever may ask."""
    address, body = re.sub(r"{\w+}", "nobody", path), BODIES.get((method, path))
    yield {"url": address, "json": body}
    yield {"url": f"{address}?nobody_reads_this=1&page_size=x", "json": body}
    yield {"url": re.sub(r"{\w+}", "%00", path), "json": body}
    if method not in ("GET", "HEAD"):
        yield {"url": address, "content": b"{}", "headers": {"Content-Type": "text/plain"}}
        yield {"url": address, "content": b"{", "headers": {"Content-Type": "application/json"}}
        yield {"url": address, "content": b" " * (settings().max_body_bytes + 1)}
        surrogate = b'{"nobody_reads_this": "\\ud800"}'
        yield {"url": address, "content": surrogate, "headers": {"Content-Type": "application/json"}}


def asked(client: TestClient, method: str, request: dict[str, Any], key: Headers) -> int:
    headers = {**request.get("headers", {}), **key}
    return client.request(method, **{**request, "headers": headers}).status_code


def test_whoever_has_no_key_is_told_nothing_else(stranger: TestClient) -> None:
    """401 on every route, whatever else is wrong with the request."""
    kinds = {**UNUSABLE, "revoked": ended("revoked_at"), "expired": ended("expires_at")}
    for method, path, _ in routes(stranger.app):  # type: ignore[arg-type]
        good, *wrong = wrong_requests(method, path)
        for kind, key in kinds.items():
            assert asked(stranger, method, good, key) == 401, (method, path, kind)
        for request in wrong:
            assert asked(stranger, method, request, UNUSABLE["unknown"]) == 401, (method, path, request)


def test_a_key_that_may_only_read_is_told_nothing_of_what_it_may_not_do(stranger: TestClient) -> None:
    """403 on every route that changes something, whatever else is wrong with the request."""
    reader = new_key(KeyScope.READ)
    for method, path, _ in routes(stranger.app):  # type: ignore[arg-type]
        if method not in ("GET", "HEAD"):
            for request in wrong_requests(method, path):
                assert asked(stranger, method, request, reader) == 403, (method, path, request)


def test_a_key_that_is_no_admins_is_told_nothing_of_what_admins_may_do(stranger: TestClient) -> None:
    """403 on the routes of admins, whatever else is wrong with the request."""
    keys = new_key(KeyScope.READ), new_key(KeyScope.WRITE)
    found = 0
    for method, path, dependant in routes(stranger.app):  # type: ignore[arg-type]
        if "permit_admin" in {getattr(call, "__name__", "") for call in called_by(dependant)}:
            found += 1
            for request in wrong_requests(method, path):
                for key in keys:
                    assert asked(stranger, method, request, key) == 403, (method, path, request)
    assert found >= 8


@pytest.mark.parametrize("authorization", ["bearer KEY", "BEARER KEY", "Bearer  KEY", "Bearer KEY "])
def test_a_good_key_may_be_sent_in_any_of_these_ways(stranger: TestClient, authorization: str) -> None:
    """The scheme in any case (RFC 9110, 11.1), and white space around the key."""
    headers = {"Authorization": authorization.replace("KEY", API_KEY)}
    assert stranger.get("/v1/studies", headers=headers).status_code == 200


def test_what_has_no_route_is_not_there_for_anybody(stranger: TestClient) -> None:
    """404, and 405 for a method that a route does not take, with a key or without."""
    for key in (UNUSABLE["none"], bearer(API_KEY)):
        assert stranger.get("/v1/nothing", headers=key).status_code == 404
        assert stranger.post("/v1/nothing", content=b"{", headers=key).status_code == 404
        assert stranger.put("/v1/studies", headers=key).status_code == 405
