"""One key, one effect, whatever is sent again and however many send it at once."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from service import sweeper
from service.app import create_app
from service.database import transaction
from service.idempotency import Posted, _lock_number
from service.models import IdempotencyKey, Study, Tenant
from tests.conftest import API_KEY, OTHER_KEY, study_body

AUTHORIZED = {"Authorization": f"Bearer {API_KEY}"}


@pytest.fixture
def client(service_environment: None) -> Iterator[TestClient]:
    with TestClient(create_app(), headers=AUTHORIZED) as opened:
        yield opened


def keyed(key: str, **headers: str) -> dict[str, str]:
    return {"Idempotency-Key": key, **headers}


def problem(response: Any) -> tuple[int, str]:
    return response.status_code, response.json()["type"].rpartition("/")[2]


@pytest.mark.parametrize("key", ["", "k" * 256, "clé".encode(), "a\tb"])
def test_a_key_that_is_no_key_is_refused(client: TestClient, session: Session, key: str | bytes) -> None:
    """422 that names the header, and nothing is stored."""
    response = client.post("/v1/studies", json=study_body(), headers={"Idempotency-Key": key})
    assert problem(response) == (422, "invalid-request")
    assert response.json()["errors"][0]["pointer"] == "header:/Idempotency-Key"
    assert session.scalars(select(Study)).all() == []


def test_a_repeated_request_gets_the_first_answer_again(client: TestClient, session: Session) -> None:
    """Byte for byte, though the study has changed meanwhile; the answer says that it is a repeat."""
    first = client.post("/v1/studies", json=study_body(), headers=keyed("k"))
    client.post(first.headers["location"] + ":pause")
    again = client.post("/v1/studies", json=study_body(), headers=keyed("k"))
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["location"] == first.headers["location"]
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert len(session.scalars(select(Study)).all()) == 1


def test_a_repeated_extension_adds_once(client: TestClient) -> None:
    """What is not idempotent by itself is so with a key."""
    study = client.post("/v1/studies", json=study_body()).headers["location"]
    answers = [client.post(f"{study}:extend", json={"trials": 3}, headers=keyed("k")) for _ in range(3)]
    assert [answer.json()["budget"] for answer in answers] == [{"trials": 7}] * 3
    assert client.get(study).json()["budget"] == {"trials": 7}


def test_a_key_stands_for_one_request(client: TestClient) -> None:
    """Another body or another path under the same key is refused."""
    study = client.post("/v1/studies", json=study_body(), headers=keyed("k")).headers["location"]
    other = client.post("/v1/studies", json=study_body(seed=1), headers=keyed("k"))
    assert problem(other) == (422, "reused-idempotency-key")
    assert problem(client.post(f"{study}:pause", headers=keyed("k"))) == (422, "reused-idempotency-key")
    assert client.get(study).json()["state"] == "ACTIVE"


def test_a_key_belongs_to_its_tenant(client: TestClient) -> None:
    """Two tenants may choose the same one."""
    first = client.post("/v1/studies", json=study_body(), headers=keyed("k"))
    other = keyed("k", Authorization=f"Bearer {OTHER_KEY}")
    second = client.post("/v1/studies", json=study_body(), headers=other)
    assert second.status_code == 201
    assert second.json()["id"] != first.json()["id"]


def test_a_request_that_failed_may_be_repeated_with_its_key(client: TestClient) -> None:
    """Neither 422 nor 409 is kept: once the cause is gone the same request works."""
    assert client.post("/v1/studies", json=study_body(replicates=0), headers=keyed("k")).status_code == 422
    study = client.post("/v1/studies", json=study_body(), headers=keyed("k")).headers["location"]
    client.post(f"{study}:pause")
    unknown = study[:-3] + "abc"
    assert client.post(f"{unknown}:resume", headers=keyed("r")).status_code == 404
    assert client.post(f"{study}:resume", headers=keyed("r")).json()["state"] == "ACTIVE"


def test_while_the_first_is_served_the_second_is_told_to_repeat(client: TestClient) -> None:
    """409 with a time to wait; after it, the request goes through."""
    with transaction() as session:
        tenant = session.scalars(select(Tenant.id).where(Tenant.name == "default")).one()
        session.execute(select(func.pg_advisory_xact_lock(_lock_number(Posted(tenant, "k", "")))))
        refused = client.post("/v1/studies", json=study_body(), headers=keyed("k"))
    assert problem(refused) == (409, "request-in-progress")
    assert refused.headers["retry-after"] == "1"
    assert client.post("/v1/studies", json=study_body(), headers=keyed("k")).status_code == 201


def test_eight_at_once_make_one_study(server_url: str, session: Session) -> None:
    """Against a real server: one answer for all who are not told to repeat."""
    barrier = threading.Barrier(8)

    def post(_: int) -> httpx.Response:
        with httpx.Client(base_url=server_url, headers=AUTHORIZED, timeout=60) as client:
            barrier.wait()
            return client.post("/v1/studies", json=study_body(), headers=keyed("k"))

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(post, range(8)))
    created = [answer for answer in answers if answer.status_code == 201]
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.content for answer in created}) == 1
    assert sum("idempotent-replayed" not in answer.headers for answer in created) == 1
    assert len(session.scalars(select(Study)).all()) == 1


def test_an_answer_is_kept_for_a_day(client: TestClient, session: Session) -> None:
    """The sweeper forgets it then, and the key is free."""
    first = client.post("/v1/studies", json=study_body(), headers=keyed("k"))
    for hours, known in ((23, 1), (25, 0)):
        session.execute(
            update(IdempotencyKey).values(created_at=func.now() - func.make_interval(0, 0, 0, 0, hours))
        )
        session.commit()
        sweeper.sweep_once()
        assert len(session.scalars(select(IdempotencyKey.key)).all()) == known
    again = client.post("/v1/studies", json=study_body(), headers=keyed("k"))
    assert again.json()["id"] != first.json()["id"]


def test_every_post_takes_a_key(client: TestClient) -> None:
    """The OpenAPI document says so for each."""
    for path, operations in client.get("/openapi.json").json()["paths"].items():
        if "post" in operations:
            names = {item["name"] for item in operations["post"].get("parameters", [])}
            assert "Idempotency-Key" in names, path
