"""Events over HTTP: pages, and streams that lose nothing and double nothing."""

import asyncio
import json
import os
import random
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import delete as sql_delete
from sqlalchemy import text

from api_schemas.events import EventType
from service.api.protocol import event_stream
from service.api.protocol.event_stream import EventStream
from service.events import listener
from service.events.feed import KEPT, EventFeed
from service.events.shutdown import closed_by_signals
from service.storage import queries
from service.storage.database import transaction
from service.storage.event_log import record_event
from service.storage.models import Event, Replicate, Study, Trial
from tests.conftest import API_KEY, OTHER_KEY
from tests.service.trials.test_leases import stored_study

KEY = {"Authorization": f"Bearer {API_KEY}"}
STREAM = {**KEY, "Accept": "text/event-stream"}


def write(study_id: str, *, events: int = 1) -> None:
    with transaction() as session:
        study = queries.lock_study(session, study_id)
        assert study is not None
        for number in range(events):
            record_event(session, study, EventType.STUDY_PAUSED, text=f"line\u2028{number}\n\nend")


def written(study_id: str) -> int:
    with transaction() as session:
        return session.get_one(Study, study_id).event_sequence


def delete(study_id: str) -> None:
    with transaction() as session:
        for table in (Event, Replicate, Trial):
            session.execute(sql_delete(table).where(table.study_id == study_id))
        session.execute(sql_delete(Study).where(Study.id == study_id))


@contextmanager
def opened(server_url: str, study_id: str, *, after: int = 0, **headers: str) -> Iterator[Iterator[str]]:
    address = f"{server_url}/v1/studies/{study_id}/events"
    with httpx.stream(
        "GET", address, params={"after": after}, headers={**STREAM, **headers}, timeout=20
    ) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield answer.iter_lines()


def take(lines: Iterator[str], count: int) -> list[int]:
    found: list[int] = []
    while len(found) < count:
        line = next(lines)
        if line.startswith("id: "):
            found.append(int(line[4:]))
    return found


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
def test_anothers_events_do_not_exist(client: TestClient, accept: str) -> None:
    """404 for a page and for a stream; 401 without a key."""
    path = f"/v1/studies/{stored_study(trials=1)}/events"
    headers = {"Authorization": f"Bearer {OTHER_KEY}", "Accept": accept}
    assert client.get(path, headers=headers).status_code == 404
    assert client.get(path, headers={"Authorization": "", "Accept": accept}).status_code == 401


@pytest.mark.parametrize(
    ("query", "header"),
    [("after=-1", "0"), ("after=x", "0"), ("after=2147483648", "0"), ("", "x"), ("", "-1")],
)
def test_a_position_that_cannot_be_is_refused(client: TestClient, query: str, header: str) -> None:
    """422 and no stream."""
    path = f"/v1/studies/{stored_study(trials=1)}/events?{query}"
    answer = client.get(path, headers={"Accept": "text/event-stream", "Last-Event-ID": header})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


def test_pages_hold_every_event_once(client: TestClient) -> None:
    """Oldest first, numbers without a gap."""
    study_id = stored_study(trials=3)
    write(study_id, events=7)
    found, token = [], "0"
    while token is not None:
        page = client.get(f"/v1/studies/{study_id}/events?page_size=4&page_token={token}").json()
        found += [event["sequence"] for event in page["events"]]
        token = page["next_page_token"]
    assert found == list(range(1, written(study_id) + 1))
    (last,) = client.get(f"/v1/studies/{study_id}/events?after={len(found) - 1}").json()["events"]
    assert (last["type"], last["body"]["text"]) == ("study.paused", "line\u20286\n\nend")


def test_streams_have_no_gap_and_no_double_under_writers(server_url: str) -> None:
    """Clients that drop their connections at random read exactly 1 to N, while four writers write."""
    study_id = stored_study(trials=1)
    last = written(study_id) + 4 * 20 * 2

    def read(seed: int) -> list[int]:
        chance, found = random.Random(seed), []
        while len(found) < last:
            position = str(found[-1] if found else 0)
            with opened(server_url, study_id, **{"Last-Event-ID": position}) as lines:
                found += take(lines, min(chance.randint(1, 60), last - len(found)))
        return found

    def write_some(_: int) -> None:
        for _ in range(20):
            write(study_id, events=2)

    with ThreadPoolExecutor(8) as pool:
        readers = [pool.submit(read, seed) for seed in range(4)]
        list(pool.map(write_some, range(4)))
        assert [reader.result(timeout=60) for reader in readers] == [list(range(1, last + 1))] * 4


def test_a_client_far_behind_catches_up_while_another_is_ahead(server_url: str) -> None:
    """More events than are shared: each client gets all that it lacks."""
    study_id = stored_study(trials=1)
    before = written(study_id)
    with opened(server_url, study_id, after=before) as ahead:
        write(study_id, events=2 * KEPT + 10)
        last = written(study_id)
        with opened(server_url, study_id) as behind:
            assert take(behind, last) == list(range(1, last + 1))
            write(study_id)
            assert take(ahead, last + 1 - before) == list(range(before + 1, last + 2))
            assert take(behind, 1) == [last + 1]


def test_a_stream_ends_when_its_study_is_deleted(server_url: str) -> None:
    """The answer is complete; asking again is 404."""
    study_id = stored_study(trials=1)
    with opened(server_url, study_id) as lines:
        take(lines, written(study_id))
        delete(study_id)
        assert [line for line in lines if line.startswith("id")] == []
    assert httpx.get(f"{server_url}/v1/studies/{study_id}/events", headers=STREAM).status_code == 404


def test_a_quiet_stream_has_heartbeats(server_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A comment, which no client takes for an event."""
    monkeypatch.setattr(event_stream, "HEARTBEAT_SECONDS", 0.01)
    study_id = stored_study(trials=1)
    with opened(server_url, study_id, after=written(study_id)) as lines:
        assert next(line for line in lines if line.startswith(":")) == ": still here"


def test_a_lost_listener_loses_nothing(server_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written while nobody listens arrives once somebody does again."""
    monkeypatch.setattr(listener, "PAUSE_SECONDS", 0.01)
    study_id = stored_study(trials=1)
    with opened(server_url, study_id) as lines:
        before = take(lines, written(study_id))
        with transaction() as session:
            query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = :name"
            session.execute(text(query), {"name": listener.APPLICATION_NAME})
        write(study_id, events=3)
        assert take(lines, 3) == [len(before) + number for number in (1, 2, 3)]


def test_a_client_that_does_not_read_is_cut_off(
    service_environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it stays, and what it has not taken waits in the log."""
    monkeypatch.setattr(event_stream, "STALL_SECONDS", 0.05)
    study_id = stored_study(trials=1)
    feed = EventFeed()
    sent: list[bytes] = []

    async def send(message: dict[str, object]) -> None:
        if message["type"] == "http.response.body":
            sent.append(message["body"])  # type: ignore[arg-type]
        if len(sent) == 2:
            await asyncio.Event().wait()

    async def receive() -> dict[str, object]:
        await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    async def serve() -> None:
        scope = {"type": "http", "path": "/", "asgi": {"spec_version": "2.3"}}
        await EventStream(feed, study_id, tenant_id="t", after=0)(scope, receive, send)  # type: ignore[arg-type]

    asyncio.run(serve())
    assert len(sent) == 2
    assert feed.channels == {}


def test_a_signal_that_stops_the_server_ends_streams(service_environment: None) -> None:
    """The feed closes, and whoever listened to the signal before still hears it."""
    study_id = stored_study(trials=1)
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    feed = EventFeed()

    async def serve() -> list[object]:
        with closed_by_signals(feed):
            frames = EventStream(feed, study_id, tenant_id="t", after=0).body_iterator
            first = [await anext(frames), await anext(frames)]  # type: ignore[call-overload]
            os.kill(os.getpid(), signal.SIGTERM)
            return [*first, *[chunk async for chunk in frames]]

    try:
        chunks = asyncio.run(serve())
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [signal.SIGTERM]
    assert feed.channels == {}
    assert len(chunks) == 2


def test_the_document_names_every_type(client: TestClient) -> None:
    """OpenAPI has both media types, and the types of events as an enumeration."""
    document = client.get("/openapi.json").json()
    answers = document["paths"]["/v1/studies/{study_id}/events"]["get"]["responses"]
    assert set(answers["200"]["content"]) == {"application/json", "text/event-stream"}
    assert json.dumps(sorted(document["components"]["schemas"]["EventType"]["enum"])) == json.dumps(
        sorted(type_.value for type_ in EventType)
    )
