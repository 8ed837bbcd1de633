"""Places for streams of events: so many for each tenant, and given back however a stream ends."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack

import httpx
import pytest

from service.api.protocol import event_stream, stream_places
from service.api.protocol.event_stream import EventStream
from service.api.protocol.stream_places import STREAM_PLACES, TooManyStreams
from service.events.feed import EventFeed
from tests.conftest import API_KEY, OTHER_KEY
from tests.service.conftest import bearer
from tests.service.trials.test_ask_and_tell import custom_body
from tests.service.trials.test_leases import stored_study

STREAM = {"Accept": "text/event-stream"}


def opened(stack: ExitStack, url: str, key: str) -> httpx.Response:
    client = stack.enter_context(httpx.Client(headers={**bearer(key), **STREAM}, timeout=20))
    return stack.enter_context(client.stream("GET", url))


def test_a_tenant_has_so_many_streams_and_others_have_theirs(
    server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """429 with what to do for the next; its pages, and another tenant's streams, go on."""
    monkeypatch.setattr(stream_places, "MOST_OF_A_TENANT", 2)
    own = f"{server_url}/v1/studies/{stored_study(trials=1)}/events"
    made = httpx.post(f"{server_url}/v1/studies", json=custom_body(), headers=bearer(OTHER_KEY), timeout=20)
    with ExitStack() as stack, ExitStack() as left:
        kept = [opened(stack, own, API_KEY), opened(left, own, API_KEY)]
        assert [answer.status_code for answer in kept] == [200, 200]
        refused = opened(stack, own, API_KEY)
        refused.read()
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")
        assert refused.json()["type"] == "/problems/too-many-streams"
        assert "Close those that nobody reads" in refused.json()["detail"]
        assert httpx.get(own, headers=bearer(API_KEY), timeout=20).status_code == 200
        others = f"{server_url}/v1/studies/{made.json()['id']}/events"
        assert opened(stack, others, OTHER_KEY).status_code == 200
        left.close()
        give_up = time.monotonic() + 20
        while opened(stack, own, API_KEY).status_code != 200:
            assert time.monotonic() < give_up
            time.sleep(0.02)


async def never(_: object) -> None:
    await asyncio.Event().wait()


async def fails(_: object) -> None:
    raise RuntimeError


async def is_cancelled(task: "asyncio.Task[None]") -> None:
    task.cancel()


async def stays(_: object) -> None:
    pass


@pytest.mark.parametrize(
    ("on_body", "is_gone", "is_closed"),
    [
        (never, False, False),
        (fails, False, False),
        (is_cancelled, False, False),
        (stays, True, False),
        (stays, False, True),
    ],
    ids=["stalls", "fails", "is cancelled", "its client goes", "the server stops"],
)
def test_a_place_is_given_back_however_a_stream_ends(
    service_environment: None,
    monkeypatch: pytest.MonkeyPatch,
    on_body: Callable[[object], Awaitable[None]],
    is_gone: bool,
    is_closed: bool,
) -> None:
    """While it is open, the only place is taken; afterwards it is free."""
    monkeypatch.setattr(event_stream, "STALL_SECONDS", 0.05)
    monkeypatch.setattr(stream_places, "MOST_OF_A_TENANT", 1)
    study_id, feed, began = stored_study(trials=1), EventFeed(), asyncio.Event()

    async def send(message: dict[str, object]) -> None:
        if message["type"] == "http.response.body":
            with pytest.raises(TooManyStreams), STREAM_PLACES.get().place("t"):
                pytest.fail("there was no place")
            began.set()
            await on_body(task)

    async def receive() -> dict[str, object]:
        await began.wait()
        if not is_gone:
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    async def serve() -> None:
        nonlocal task
        scope = {"type": "http", "path": "/", "asgi": {"spec_version": "2.3"}}
        stream = EventStream(feed, study_id, tenant_id="t", after=0)
        task = asyncio.create_task(stream(scope, receive, send))  # type: ignore[arg-type]
        await began.wait()
        if is_closed:
            feed.close()
        async with asyncio.timeout(20):
            await asyncio.gather(task, return_exceptions=True)
        with STREAM_PLACES.get().place("t"):
            assert feed.channels == {}

    task: asyncio.Task[None]
    asyncio.run(serve())
