"""Many requests at once: all are answered, and what nobody may hold up is answered at once."""

import asyncio
import socket
import time
from collections import Counter
from dataclasses import replace
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi.testclient import TestClient

from api_schemas.access import KeyScope
from service.api.app import create_app
from service.api.protocol import bodies
from service.api.protocol.work_queue import PLACES, Kind
from tests.conftest import API_KEY, OTHER_KEY
from tests.service.conftest import bearer, new_key
from tests.service.trials.test_ask_and_tell import created
from tests.service.trials.test_leases import stored_study

AT_ONCE = 150


async def status_of(url: str, path: str, *, key: str | None = API_KEY) -> int:
    """Send one GET over a connection of its own."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    authorization = f"Authorization: Bearer {key}\r\n" if key else ""
    writer.write(f"GET {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n{authorization}\r\n".encode())
    answer = await reader.read()
    writer.close()
    return int(answer.split(b" ", 2)[1])


def statuses_at_once(url: str, path: str, *, key: str | None, number: int = AT_ONCE) -> Counter[int]:
    async def ask() -> list[int]:
        return await asyncio.gather(*(status_of(url, path, key=key) for _ in range(number)))

    return Counter(asyncio.run(ask()))


@pytest.mark.parametrize("key", [None, "wrong", API_KEY])
def test_more_reads_at_once_than_threads_and_connections_are_all_answered(
    server_url: str, key: str | None
) -> None:
    """No 500, none left waiting for a connection that another holds; without a key none is even taken."""
    began = time.monotonic()
    found = statuses_at_once(server_url, f"/v1/studies/{stored_study(trials=1)}", key=key)
    assert sum(found.values()) == AT_ONCE
    assert set(found) <= ({200, 503} if key == API_KEY else {401})
    assert time.monotonic() - began < 25  # a connection was waited for 30 s


def test_whoever_finds_no_place_is_told_when_to_come_back(
    service_environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 as a problem with a page; what changes a study, health and other tenants' keys are not reads."""
    monkeypatch.setitem(PLACES, Kind.READ, replace(PLACES[Kind.READ], at_once=0, waiting=0))
    monkeypatch.setattr("service.api.protocol.work_queue.READS_AT_LEAST", 0)
    client = TestClient(create_app(), headers=bearer(API_KEY), client=("127.0.0.1", 50000))
    study_id = created(client)
    refused = client.get(f"/v1/studies/{study_id}")
    assert (refused.status_code, refused.json()["type"]) == (503, "/problems/overloaded")
    assert 1 <= int(refused.headers["retry-after"]) <= 4
    assert client.post(f"/v1/studies/{study_id}/trials:suggest", json={"worker_id": "w"}).status_code == 200
    assert client.post(f"/v1/studies/{study_id}:pause").status_code == 200
    assert [client.get(path).status_code for path in ("/healthz", "/metrics")] == [200, 200]
    turned_away = [line for line in client.get("/metrics").text.splitlines() if "turned away" in line]
    assert any('status="503"' in line for line in turned_away)


def test_waiting_for_a_suggestion_takes_no_place(
    service_environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one runner waits in the only place there is, another is answered."""
    monkeypatch.setitem(PLACES, Kind.COMMAND, replace(PLACES[Kind.COMMAND], at_once=1, of_a_tenant=1))
    with TestClient(create_app(), headers=bearer(API_KEY)) as client:
        study_id = created(client, budget={"trials": 1})
        waiting = client.post(
            f"/v1/studies/{study_id}/trials:suggest", json={"worker_id": "w", "wait_seconds": 0.3}
        )
        assert waiting.status_code == 200
        assert client.post(f"/v1/studies/{study_id}:pause").status_code == 200


def test_a_body_is_not_read_before_the_key_is_known(server_url: str) -> None:
    """401 while the body is still to come, and 403 for a key that may not send one."""
    address = urlsplit(server_url)
    head = "POST /v1/studies HTTP/1.1\r\nHost: here\r\nContent-Length: 900000\r\nAuthorization: "
    for status, authorization in ((401, "Bearer wrong"), (403, new_key(KeyScope.READ)["Authorization"])):
        with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
            connection.sendall(f"{head}{authorization}\r\n\r\n{{".encode())
            assert connection.recv(4096).startswith(f"HTTP/1.1 {status} ".encode())


@pytest.mark.parametrize(
    "declared", [b"Content-Length: 500", b"Content-Length: 500000", b"Transfer-Encoding: chunked"]
)
def test_a_body_that_does_not_come_is_given_up(
    server_url: str, monkeypatch: pytest.MonkeyPatch, declared: bytes
) -> None:
    """408 as a problem, and the connection is closed."""
    monkeypatch.setattr(bodies, "GRACE_SECONDS", 0.05)
    address = urlsplit(server_url)
    head = b"POST /v1/studies HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer " + API_KEY.encode() + b"\r\n"
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        connection.sendall(head + declared + b"\r\nContent-Type: application/json\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"/problems/body-too-slow"' in answer


def test_an_upload_that_does_not_come_is_given_up(server_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is streamed, and kept in time as it comes."""
    monkeypatch.setattr(bodies, "GRACE_SECONDS", 0.05)
    address = urlsplit(server_url)
    head = b"PUT /v1/task_files/t.csv HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer " + API_KEY.encode()
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        connection.sendall(head + b"\r\nContent-Length: 5000000\r\n\r\ntext,label\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 408 ")


def test_a_tenant_that_asks_for_everything_does_not_stop_another(server_url: str) -> None:
    """While one sends far more than its share, the other's single read is answered well."""
    study_id = stored_study(trials=3)

    async def ask() -> tuple[Counter[int], int]:
        crowd = [
            asyncio.create_task(status_of(server_url, f"/v1/studies/{study_id}/trials")) for _ in range(100)
        ]
        await asyncio.sleep(0.1)
        other = await status_of(server_url, "/v1/studies", key=OTHER_KEY)
        return Counter(await asyncio.gather(*crowd)), other

    crowd, other = asyncio.run(ask())
    assert set(crowd) <= {200, 503}
    assert other == 200


def test_probes_are_answered_while_all_places_are_taken(server_url: str) -> None:
    """Readiness and metrics have threads of their own."""

    async def ask() -> list[int]:
        crowd = [asyncio.create_task(status_of(server_url, "/v1/studies")) for _ in range(100)]
        await asyncio.sleep(0)
        probes = [await status_of(server_url, path, key=None) for path in ("/healthz", "/readyz", "/metrics")]
        await asyncio.gather(*crowd)
        return probes

    assert asyncio.run(ask()) == [200, 200, 200]


def test_a_client_that_hangs_up_while_it_waits_costs_nothing(server_url: str) -> None:
    """Hundreds that ask and go; who comes after them is served."""
    address = urlsplit(server_url)
    request = f"GET /v1/studies HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer {API_KEY}\r\n\r\n".encode()
    for _ in range(200):
        with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
            connection.sendall(request)
    assert httpx.get(f"{server_url}/v1/studies", headers=bearer(API_KEY), timeout=20).status_code == 200
