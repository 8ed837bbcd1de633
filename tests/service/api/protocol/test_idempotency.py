"""One key, one effect, whatever is sent again and however many send it at once."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from service.api.protocol.idempotency import IdempotentRequest, _lock_number
from service.storage.database import transaction
from service.storage.models import IdempotencyKey, Study, Tenant
from service.trials import lifecycle, sweeper
from tests.conftest import API_KEY, OTHER_KEY, study_body
from tests.service.trials.test_ask_and_tell import METRICS, POINT, asked, created

AUTHORIZED = {"Authorization": f"Bearer {API_KEY}"}


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
        session.execute(select(func.pg_advisory_xact_lock(_lock_number(IdempotentRequest(tenant, "k", "")))))
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


def test_a_secret_is_not_kept(client: TestClient, session: Session) -> None:
    """A repeated request for a key makes no second one, and its answer lacks the secret."""
    first, again = (client.post("/v1/keys", json={"name": "ci"}, headers=keyed("k")) for _ in range(2))
    assert first.json()["secret"].startswith("ptk_")
    assert again.json() == first.json() | {"secret": None}
    assert again.headers["idempotent-replayed"] == "true"
    assert [key["name"] for key in client.get("/v1/keys").json()["keys"]].count("ci") == 1
    stored = session.scalars(select(IdempotencyKey.body)).all()
    assert len(stored) == 1
    assert first.json()["secret"] not in stored[0]


def test_a_repeated_release_takes_back_once(client: TestClient) -> None:
    """Its attempt is over after the first, which is what a runner that lost the answer cannot know."""
    study_id = created(client)
    with transaction() as session:
        study = session.get_one(Study, study_id)
        proposal = {"parameters": POINT, "configuration": None, "configuration_key": "x"}
        lifecycle.add_trial(session, study, **proposal, generated_by="test", proposal_seconds=0.0)
    (trial,) = asked(client, study_id)
    url = f"/v1/studies/{study_id}/trials/{trial['trial_id']}:release"
    body = {"attempt": trial["attempt"]}
    first, again = (client.post(url, json=body, headers=keyed("k")) for _ in range(2))
    assert first.json()["state"] == "QUEUED"
    assert (again.status_code, again.content) == (200, first.content)
    assert client.post(url, json=body).json()["state"] == "QUEUED"
    assert len(asked(client, study_id)) == 1


def test_repeated_past_results_get_the_first_answer(client: TestClient) -> None:
    """How many were imported, and not that all are known by now; heartbeats keep no answer."""
    study_id = created(client)
    body = {"observations": [{"parameters": POINT, "metrics": METRICS}]}
    url = f"/v1/studies/{study_id}/trials:import"
    answers = [client.post(url, json=body, headers=keyed("k")) for _ in range(2)]
    assert [answer.json()["imported"] for answer in answers] == [1, 1]
    client.post(f"/v1/studies/{study_id}/trials:suggest", json={"worker_id": "w"}, headers=keyed("s"))
    with transaction() as session:
        assert session.scalars(select(IdempotencyKey.key)).all() == ["k"]


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
