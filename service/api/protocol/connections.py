"""uvicorn's protocol with limits of time, size and number, so that no connection starves others.

uvicorn itself waits without end for the head of a request, for the rest of a body that is not read, and for a
client that does not read; it takes heads and trailers of any size, and connections until files run out. Knows
no route and no key.
"""

import asyncio
from collections import Counter
from typing import Any

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.runtime.loop_local import LoopLocal
from service.runtime.open_files import most_open_files

log = structlog.get_logger(__name__)

HEAD_SECONDS = 10.0
"""From the connection, or the end of the answer before, to the end of a request's head."""
REST_SECONDS = 30.0
"""For the rest of a body whose request has been answered."""
STALL_SECONDS = 30.0
STALL_BYTES = 10_000
"""What a client must take in `STALL_SECONDS`, unless it has taken all."""
HEAD_BYTES = 65_536
PIPELINED = 16
"""Requests that one connection may send before the first is answered."""
MOST_CONNECTIONS = 4096
OTHER_FILES = 256
"""What the process has open beside them."""
LOOK_SECONDS = 1.0
DROPPED_AT_ONCE = 0.1
"""The share of the connections that are dropped together, so that choosing them costs little."""

TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
FULL = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


def most_connections() -> int:
    """Return how many connections this process may have at once."""
    return min(MOST_CONNECTIONS, most_open_files() - OTHER_FILES)


class TooManyPipelined(Exception):
    """A connection has sent too many requests before the first was answered."""


class GuardedConnection(HttpToolsProtocol):
    """One connection; `overdue_at` is when what the server waits for must have come, if it waits."""

    overdue_at: float | None = None
    stalled_at: float | None = None
    unsent = 0
    head_bytes = 0
    is_within_message = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a head, if one more connection is allowed."""
        super().connection_made(transport)
        self.overdue_at = self.loop.time() + HEAD_SECONDS
        self._guard = GUARDS.get()
        if not self._guard.takes(self):
            transport.write(FULL)
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop watching the connection."""
        self._guard.forget(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes; a head that is too large is refused."""
        if not self.is_within_message:
            self.head_bytes += len(data)
        super().data_received(data)
        if self.head_bytes > HEAD_BYTES and not self.transport.is_closing():
            self.transport.write(TOO_LARGE)
            self.transport.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; trailers are not used, so they are not kept."""
        if not self.is_within_message:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Leave the rest to the application.

        Raises:
            TooManyPipelined: If too many requests of the connection wait for an answer.
        """
        self.is_within_message = True
        self.head_bytes = 0
        self.overdue_at = None
        if len(self.pipeline) >= PIPELINED:
            self.transport.abort()
            raise TooManyPipelined
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Wait for the next head, if this request has its answer already."""
        super().on_message_complete()
        self.is_within_message = False
        if self.cycle.response_complete:
            self.overdue_at = self.loop.time() + HEAD_SECONDS

    def on_response_complete(self) -> None:
        """Wait for the next head, or for the rest of this body."""
        super().on_response_complete()
        if not self.pipeline and self.cycle.response_complete:
            self.overdue_at = self.loop.time() + (REST_SECONDS if self.is_within_message else HEAD_SECONDS)

    def pause_writing(self) -> None:
        """Check from now on that the client reads."""
        super().pause_writing()
        self.unsent = self.transport.get_write_buffer_size()
        self.stalled_at = self.loop.time() + STALL_SECONDS

    def resume_writing(self) -> None:
        """The client reads: stop checking."""
        super().resume_writing()
        self.stalled_at = None

    def end_if_late(self, now: float) -> None:
        """Close the connection if a message is overdue."""
        if self.overdue_at is not None and now > self.overdue_at:
            self.transport.abort()
        elif self.stalled_at is not None and now > self.stalled_at:
            unsent = self.transport.get_write_buffer_size()
            if unsent > self.unsent - STALL_BYTES:
                self.transport.abort()
            self.unsent, self.stalled_at = unsent, now + STALL_SECONDS


class Guard:
    """Checks all connections every second."""

    def __init__(self) -> None:
        self.connections: set[GuardedConnection] = set()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def takes(self, connection: GuardedConnection) -> bool:
        """Watch a connection; return whether one more is allowed."""
        most = most_connections()
        if len(self.connections) >= most and not self._drop(max(1, int(most * DROPPED_AT_ONCE))):
            return False
        self.connections.add(connection)
        if self._timer is None:
            self._timer = self._loop.call_later(LOOK_SECONDS, self._look)
        return True

    def forget(self, connection: GuardedConnection) -> None:
        """Stop watching a connection."""
        self.connections.discard(connection)

    def _look(self) -> None:
        self._timer = self._loop.call_later(LOOK_SECONDS, self._look) if self.connections else None
        now = self._loop.time()
        for connection in list(self.connections):
            connection.end_if_late(now)

    def _drop(self, number: int) -> int:
        """Drop idle connections, of the busiest address and the longest idle first. Return how many."""
        waiting = [item for item in self.connections if item.overdue_at is not None]
        of_address = Counter(_address(item) for item in waiting)
        waiting.sort(key=lambda item: (-of_address[_address(item)], item.overdue_at))
        for connection in waiting[:number]:
            self.connections.discard(connection)
            connection.transport.abort()
        log.warning("there are too many connections", dropped=len(waiting[:number]))
        return len(waiting[:number])


def _address(connection: GuardedConnection) -> Any:
    return connection.client[0] if connection.client else None


GUARDS = LoopLocal(Guard)
