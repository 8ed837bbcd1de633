"""Requests are sent again where that may help, each under one key; against a server that plays a script."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from paretune.client import AsyncClient, Client, requests
from paretune.client.requests import ONCE, USUAL
from paretune.client.retries import Retries
from paretune.errors import AnswerTooLate, RequestRefused, ServerUnreachable

TASK_FILES = b'{"task_files": []}'
PROBLEM = b'{"type": "/p", "title": "No.", "status": 400, "detail": "Never."}'


class Script(BaseHTTPRequestHandler):
    """Answers with the next line of the script, each after some seconds; a line of None hangs up."""

    lines: list[tuple[int, bytes] | None]
    keys: list[str | None]
    seconds: float = 0.0

    def do_GET(self) -> None:
        self.keys.append(self.headers.get("Idempotency-Key"))
        line = self.lines.pop(0)
        time.sleep(self.seconds)
        if line is None:
            self.close_connection = True
            return
        status, body = line
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Retry-After", "0")
        self.end_headers()
        with suppress(ConnectionError):
            self.wfile.write(body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.do_GET()

    def do_DELETE(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass


Scripted = tuple[type[Script], Client]


@pytest.fixture
def script() -> Iterator[Scripted]:
    handler = type("Scripted", (Script,), {"lines": [], "keys": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        with Client(f"http://127.0.0.1:{server.server_address[1]}", api_key="k") as client:
            yield handler, client
        server.shutdown()
        thread.join()


def test_reading_goes_on_through_busy_answers_and_cut_connections(
    script: Scripted,
) -> None:
    """429, 503 and a hang-up are followed by the answer."""
    handler, client = script
    handler.lines += [(429, b""), None, (503, b""), (200, TASK_FILES)]
    assert client.task_files() == ()
    assert handler.keys == [None] * 4


def test_a_post_is_repeated_under_its_key(script: Scripted) -> None:
    """The same one for each try, another one for another call."""
    handler, client = script
    handler.lines += [None, (503, b""), (200, SUGGESTED), (200, SUGGESTED)]
    client.suggest_trials("std_1", worker_id="w")
    client.suggest_trials("std_1", worker_id="w")
    first, second, third, other = handler.keys
    assert first is not None
    assert first == second == third != other


SUGGESTED = b'{"trials": [], "study_state": "ACTIVE", "lease_seconds": 30}'


def test_a_connection_lost_after_a_long_wait_is_opened_again(script: Scripted) -> None:
    """The time that the server took for its answer is none in which it was away."""
    handler, client = script
    handler.seconds = 0.3
    handler.lines += [None, (200, TASK_FILES)]
    patience = replace(USUAL, unreachable_seconds=0.25)
    assert client.send(replace(requests.task_files(), patience=patience)) == ()


@pytest.mark.parametrize(
    "request_",
    [requests.suggest_trials("std_1", worker_id="w", wait_seconds=20), requests.awaited_study("std_1")],
)
def test_whoever_waits_also_waits_for_a_server_that_is_started_again(
    request_: requests.Request[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """For trials or for a study's end: an API takes longer to start than other requests give it."""
    now = 0.0
    monkeypatch.setattr("paretune.client.retries.time.monotonic", lambda: now)
    waiting = Retries(request_.patience)
    looking = Retries(requests.get_study("std_1").patience)
    refused = httpx.ConnectError("no")
    assert waiting.pause_after(refused) is not None
    assert looking.pause_after(refused) is not None
    now = 30.0
    assert waiting.pause_after(refused) is not None
    assert looking.pause_after(refused) is None
    now = 61.0
    assert waiting.pause_after(refused) is None


IN_PROGRESS = PROBLEM.replace(b"400", b"409").replace(b"/p", b"/problems/request-in-progress")
OTHER_CONFLICT = PROBLEM.replace(b"400", b"409").replace(b"/p", b"/problems/study-ended")


def test_a_request_that_is_still_served_is_repeated_and_no_other_conflict_is(script: Scripted) -> None:
    """The first try is at work on it: in a second there is its answer."""
    handler, client = script
    request = requests.Request("POST", "/v1/studies/std_1:pause", bytes)
    handler.lines += [None, (409, IN_PROGRESS), (409, IN_PROGRESS), (200, b"paused")]
    assert client.send(request) == b"paused"
    assert handler.keys == [request.idempotency_key] * 4
    handler.lines += [(409, OTHER_CONFLICT)]
    with pytest.raises(RequestRefused):
        client.send(request)


def test_an_answer_that_takes_too_long_is_not_called_an_absent_server(script: Scripted) -> None:
    """The message says how long was waited, and to look before asking again."""
    handler, client = script
    handler.seconds = 0.3
    handler.lines += [(200, TASK_FILES)] * 9
    address = str(client._http.base_url)
    with (
        Client(address, api_key="k", timeout_seconds=0.1) as hasty,
        pytest.raises(AnswerTooLate, match=r"has not answered within 0\.1 seconds.*paretune status"),
    ):
        hasty.send(replace(requests.task_files(), patience=ONCE))


@pytest.mark.parametrize(
    "request_", [requests.create_study_from({}), requests.clone("std_1")], ids=["create", "clone"]
)
def test_what_may_download_first_has_minutes_to_answer(
    script: Scripted, request_: requests.Request[object]
) -> None:
    """However short the client's own timeout is, both twins wait."""
    handler, client = script
    handler.seconds = 0.3
    handler.lines += [(400, PROBLEM)] * 2
    address = str(client._http.base_url)
    with (
        Client(address, api_key="k", timeout_seconds=0.1) as hasty,
        pytest.raises(RequestRefused, match="Never"),
    ):
        hasty.send(request_)

    async def ask() -> None:
        async with AsyncClient(address, api_key="k", timeout_seconds=0.1) as hasty:
            await hasty.send(request_)

    with pytest.raises(RequestRefused, match="Never"):
        asyncio.run(ask())


def test_a_refusal_is_final(script: Scripted) -> None:
    """Asking again would not help."""
    handler, client = script
    handler.lines += [(400, PROBLEM)]
    with pytest.raises(RequestRefused, match=r"No\. Never\."):
        client.task_files()


def test_an_answer_from_something_else_is_explained(script: Scripted) -> None:
    """It may be the wrong address."""
    handler, client = script
    handler.lines += [(500, b"<html>")]
    with pytest.raises(RequestRefused, match="is this the right address"):
        client.task_files()


def test_pauses_follow_retry_after_and_end_with_patience() -> None:
    """Not shorter than the server says, and not longer than anybody would wait."""

    def busy(seconds: str) -> httpx.Response:
        return httpx.Response(503, headers={"Retry-After": seconds})

    pause = Retries(USUAL).pause_after(busy("7"))
    assert pause is not None
    assert 7.1 <= pause <= 7.2
    assert Retries(USUAL).pause_after(busy("61")) is None
    assert Retries(USUAL).pause_after(httpx.Response(409)) is None
    assert Retries(ONCE).pause_after(httpx.ConnectError("no")) is None
    assert Retries(USUAL).pause_after(httpx.UnsupportedProtocol("no")) is None
    pauses = Retries(USUAL)
    growing = [pauses.pause_after(busy("")) for _ in range(4)]
    assert all(pause is not None and 0.1 * 2**n <= pause <= 0.2 * 2**n for n, pause in enumerate(growing))


def test_nobody_at_the_address_is_explained_in_time() -> None:
    """After a few tries, not after a minute."""
    with Client("http://127.0.0.1:1", api_key="k") as client, pytest.raises(ServerUnreachable):
        client.task_files()


def test_a_deletion_whose_answer_was_lost_is_done(script: Scripted) -> None:
    """The repetition finds nothing to delete; a study that never was is still refused."""
    handler, client = script
    missing = PROBLEM.replace(b"400", b"404")
    handler.lines += [None, (404, missing)]
    client.delete("std_1")
    handler.lines += [(404, missing)]
    with pytest.raises(RequestRefused):
        client.delete("std_1")
    handler.lines += [None, (404, missing)]
    with pytest.raises(RequestRefused):
        client.revoke_key("key_1")
