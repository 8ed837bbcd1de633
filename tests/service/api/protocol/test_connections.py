"""Slow, endless and idle connections are ended, and others are served meanwhile."""

import resource
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import httpx
import pytest

from service.api.protocol import connections
from service.runtime.open_files import most_open_files, raise_open_files
from service.trials import leases
from tests.conftest import API_KEY
from tests.service.trials.test_leases import stored_study

HEAD = b"GET /healthz HTTP/1.1\r\nHost: here\r\n"


@contextmanager
def connected(url: str) -> Iterator[socket.socket]:
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        yield connection


def has_ended(connection: socket.socket) -> bool:
    """Say whether the server ends the connection, in order or with a reset, without an answer."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def ends_while_it_sends(connection: socket.socket, parts: list[bytes], *, pause_seconds: float = 0.0) -> bool:
    """Say whether the server ends the connection before all parts are sent."""
    try:
        for part in parts:
            connection.sendall(part)
            time.sleep(pause_seconds)
    except OSError:
        return True
    return False


def all_of(connection: socket.socket) -> bytes:
    """Read until the server ends the connection."""
    found = b""
    try:
        while part := connection.recv(65_536):
            found += part
    except ConnectionResetError:
        return found
    return found


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.2)


@pytest.mark.parametrize("sent", [b"", b"G", HEAD, HEAD + b"X-Slow: "])
def test_a_head_that_does_not_come_ends_its_connection(impatient: None, server_url: str, sent: bytes) -> None:
    """Whatever has come of it; another client is served."""
    with connected(server_url) as slow:
        slow.sendall(sent)
        assert has_ended(slow)
    assert httpx.get(f"{server_url}/healthz", timeout=20).status_code == 200


def test_a_byte_now_and_then_is_no_head(impatient: None, server_url: str) -> None:
    """The time is for the whole of it, and begins anew with each request."""
    with connected(server_url) as slow:
        slow.sendall(HEAD + b"\r\n")
        assert slow.recv(4096).startswith(b"HTTP/1.1 200")
        assert ends_while_it_sends(slow, [b"X"] * 400, pause_seconds=0.02)


def test_a_head_without_end_is_refused(server_url: str) -> None:
    """431, long before it has filled the memory."""
    with connected(server_url) as endless:
        endless.sendall(HEAD)
        assert ends_while_it_sends(endless, [b"X: " + b"x" * 8000 + b"\r\n"] * 100_000)


def test_a_large_head_is_told_so(server_url: str) -> None:
    """431 as an answer."""
    with connected(server_url) as large:
        large.sendall(HEAD + b"X: " + b"x" * connections.HEAD_BYTES)
        assert large.recv(4096).startswith(b"HTTP/1.1 431 ")


def test_a_path_of_any_length_is_part_of_the_head(server_url: str) -> None:
    """The limit is one for all of it."""
    with connected(server_url) as large:
        large.sendall(b"GET /" + b"x" * connections.HEAD_BYTES)
        assert large.recv(4096).startswith(b"HTTP/1.1 431 ")


def test_trailers_are_not_kept(server_url: str) -> None:
    """A body may end with them; the connection goes on."""
    with connected(server_url) as connection:
        connection.sendall(
            b"POST /v1/studies HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
        )
        connection.sendall(b"".join(b"X-%d: y\r\n" % number for number in range(20_000)) + b"\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 401 ")
        connection.sendall(HEAD + b"\r\n")
        assert b"HTTP/1.1 200 " in connection.recv(4096)


def test_a_body_that_was_refused_may_still_come(server_url: str) -> None:
    """So that whoever sends all of it first reads the answer; the connection goes on."""
    with connected(server_url) as connection:
        connection.sendall(b"POST /v1/studies HTTP/1.1\r\nHost: here\r\nContent-Length: 900000\r\n\r\n")
        connection.sendall(b"x" * 900_000)
        assert connection.recv(4096).startswith(b"HTTP/1.1 401 ")
        connection.sendall(HEAD + b"\r\n")
        assert b"HTTP/1.1 200 " in connection.recv(4096)


def test_a_refused_body_that_does_not_come_ends_its_connection(
    impatient: None, server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is waited for as long as for anything that nobody reads."""
    monkeypatch.setattr(connections, "REST_SECONDS", 0.1)
    with connected(server_url) as slow:
        slow.sendall(b"POST /v1/studies HTTP/1.1\r\nHost: here\r\nContent-Length: 900000\r\n\r\n")
        assert slow.recv(4096).startswith(b"HTTP/1.1 401 ")
        assert has_ended(slow)


def test_requests_far_ahead_of_their_turn_end_their_connection(server_url: str) -> None:
    """A few may be sent at once; thousands would be kept all at once."""
    with connected(server_url) as few:
        few.sendall((HEAD + b"\r\n") * 8)
        answers = b""
        while answers.count(b"HTTP/1.1 200") < 8:
            answers += few.recv(65_536)
    with connected(server_url) as many:
        many.sendall((HEAD + b"\r\n") * 2000)
        assert len(all_of(many)) < 200_000


def test_a_client_that_does_not_read_is_cut_off(server_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was made for it is let go."""
    monkeypatch.setattr(connections, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(connections, "STALL_SECONDS", 0.2)
    request = f"GET /openapi.json HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer {API_KEY}\r\n\r\n".encode()
    with connected(server_url) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        assert ends_while_it_sends(deaf, [request] * 400, pause_seconds=0.02)


def test_more_connections_than_there_may_be_make_room(
    server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that only wait are ended, the longest first; who has something to ask is served."""
    monkeypatch.setattr(connections, "MOST_CONNECTIONS", 20)
    with ExitStack() as opened:
        idle = [opened.enter_context(connected(server_url)) for _ in range(60)]
        assert httpx.get(f"{server_url}/healthz", timeout=20).status_code == 200
        assert has_ended(idle[0])
        idle[-1].sendall(HEAD + b"\r\n")
        assert idle[-1].recv(4096).startswith(b"HTTP/1.1 200 ")


def test_a_process_full_of_work_says_so(server_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """503 with when to come back, while no connection waits for a head."""
    monkeypatch.setattr(connections, "MOST_CONNECTIONS", 3)
    with ExitStack() as opened:
        for _ in range(3):
            busy = opened.enter_context(connected(server_url))
            busy.sendall(
                f"POST /v1/studies HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer {API_KEY}\r\n"
                "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n".encode()
            )
            assert busy.recv(4096).startswith(b"HTTP/1.1 100 ")
        refused = httpx.get(f"{server_url}/healthz", timeout=20)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")


def test_streams_leave_connections_to_others(server_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many a key opens, half are left: the next is told so, and heartbeats are answered."""
    monkeypatch.setattr(connections, "MOST_CONNECTIONS", 20)
    study_id = stored_study(trials=1)
    claimed = leases.claim("w")
    assert claimed is not None
    key = {"Authorization": f"Bearer {API_KEY}"}
    study = f"{server_url}/v1/studies/{study_id}"
    with ExitStack() as opened:
        answers = [
            opened.enter_context(
                opened.enter_context(httpx.Client(timeout=20)).stream(
                    "GET", f"{study}/events", headers={**key, "Accept": "text/event-stream"}
                )
            )
            for _ in range(25)
        ]
        assert Counter(answer.status_code for answer in answers) == {200: 10, 429: 15}
        assert answers[-1].headers["retry-after"] == "5"
        assert httpx.get(f"{server_url}/healthz", timeout=20).status_code == 200
        heartbeat = f"{study}/trials/{claimed.trial_id}:heartbeat"
        beaten = httpx.post(heartbeat, json={"attempt": claimed.attempt}, headers=key, timeout=20)
        assert beaten.status_code == 200


def test_a_process_may_open_what_the_machine_allows() -> None:
    """The soft limit becomes the hard one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))
        raise_open_files()
        assert most_open_files() > 512
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_who_asks_before_sending_too_much_is_told_not_to(server_url: str) -> None:
    """413 at once, and no `100 Continue` before it."""
    head = (
        "POST /v1/studies HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {API_KEY}\r\nExpect: 100-continue\r\nContent-Length: 99999999\r\n\r\n"
    )
    with connected(server_url) as connection:
        connection.sendall(head.encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 413 ")
