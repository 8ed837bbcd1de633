"""Many clients in one event loop: a request over a connection of its own or a kept one, each answer timed."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import numpy as np


@dataclass(frozen=True)
class Server:
    """Where it answers, and a key of it."""

    url: str
    api_key: str


@dataclass
class Seen:
    """How answers came, by what was asked."""

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)

    def errors(self) -> int:
        """Count the answers that no client should see: 5xx but 503."""
        return sum(number for status, number in self.statuses.items() if status >= 500 and status != 503)

    def milliseconds(self, share: float) -> float:
        """Return a quantile."""
        return round(1000 * float(np.quantile(self.seconds, share)), 1) if self.seconds else 0.0


class KeptConnection:
    """One kept-alive connection, opened again where the server has ended it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(
        self, method: str, path: str, *, body: Any = None, headers: Mapping[str, str] = {}
    ) -> tuple[int, Any]:
        """Send a request, and read its answer as JSON."""
        try:
            return await self._send(method, path, body=body, headers=headers)
        except (OSError, asyncio.IncompleteReadError):
            self.close()
            return await self._send(method, path, body=body, headers=headers)

    async def _send(
        self, method: str, path: str, *, body: Any, headers: Mapping[str, str]
    ) -> tuple[int, Any]:
        if self._streams is None:
            self._streams = await opened(self.server)
        reader, writer = self._streams
        content = b"" if body is None else json.dumps(body).encode()
        writer.write(head(self.server, method, path, length=len(content), headers=headers) + content)
        first = await reader.readuntil(b"\r\n\r\n")
        status, length = int(first.split(b" ", 2)[1]), 0
        for line in first.split(b"\r\n"):
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        answer = await reader.readexactly(length)
        return status, json.loads(answer) if answer else None

    def close(self) -> None:
        """End it."""
        if self._streams is not None:
            self._streams[1].close()
        self._streams = None


def head(
    server: Server, method: str, path: str, *, length: int = 0, headers: Mapping[str, str] = {}
) -> bytes:
    """Return the head of a request."""
    given = {"Host": "here", "Authorization": f"Bearer {server.api_key}", "Content-Length": length, **headers}
    if length:
        given["Content-Type"] = "application/json"
    lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode()


async def opened(server: Server) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a connection."""
    address = urlsplit(server.url)
    return await asyncio.open_connection(address.hostname, address.port)


async def timed(
    seen: Seen, connection: KeptConnection, method: str, path: str, **sent: Any
) -> tuple[int, Any]:
    """Send a request, and write down how it was answered."""
    began = time.perf_counter()
    status, answer = await connection.send(method, path, **sent)
    seen.seconds.append(time.perf_counter() - began)
    seen.statuses[status] += 1
    return status, answer


@asynccontextmanager
async def asked_all_the_while(server: Server, path: str) -> AsyncIterator[Seen]:
    """Ask for something 20 times a second, for the length of a block."""
    seen, connection = Seen(), KeptConnection(server)

    async def ask() -> None:
        while True:
            await timed(seen, connection, "GET", path)
            await asyncio.sleep(0.05)

    task = asyncio.create_task(ask())
    try:
        yield seen
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        connection.close()
