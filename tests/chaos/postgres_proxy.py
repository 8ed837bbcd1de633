"""A TCP proxy before Postgres that can cut a connection at its COMMIT, before or after it takes effect."""

import asyncio
import threading
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum

COMMIT = b"COMMIT\0"
"""What a client sends, alone or as the text of a prepared statement. No value of ours ends so."""
CHUNK_BYTES = 2**16


class Cut(StrEnum):
    """Where the connection is cut."""

    BEFORE = "before"
    """The server never hears the COMMIT, and rolls back."""
    AFTER = "after"
    """The server has committed, and the client never hears so."""


@dataclass
class Link:
    """One connection. Once `is_deaf`, the server's next answer ends it unheard."""

    client: asyncio.StreamReader
    to_client: asyncio.StreamWriter
    server: asyncio.StreamReader
    to_server: asyncio.StreamWriter
    is_deaf: bool = False

    def cut(self) -> None:
        """End it at both sides, as a cable that is pulled."""
        self.to_server.transport.abort()
        self.to_client.transport.abort()


@dataclass
class PostgresProxy:
    """What is armed cuts the next COMMITs that pass, one each; `cuts` counts them."""

    server_port: int
    port: int = 0
    armed: deque[Cut] = field(default_factory=deque)
    cuts: Counter[str] = field(default_factory=Counter)

    async def serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        """Pass a connection on until either side, or a cut, ends it."""
        try:
            server, to_server = await asyncio.open_connection("127.0.0.1", self.server_port)
        except OSError:
            to_client.transport.abort()
            return
        link = Link(client, to_client, server, to_server)
        pumps = [asyncio.create_task(self._to_server(link)), asyncio.create_task(_to_client(link))]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            link.cut()
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _to_server(self, link: Link) -> None:
        while chunk := await link.client.read(CHUNK_BYTES):
            cut = self.armed.popleft() if COMMIT in chunk and self.armed else None
            if cut is not None:
                self.cuts[cut.value] += 1
            if cut is Cut.BEFORE:
                return
            link.is_deaf = cut is Cut.AFTER
            link.to_server.write(chunk)
            await link.to_server.drain()


async def _to_client(link: Link) -> None:
    while chunk := await link.server.read(CHUNK_BYTES):
        if link.is_deaf:
            return
        link.to_client.write(chunk)
        await link.to_client.drain()


@contextmanager
def postgres_proxy(server_port: int) -> Iterator[PostgresProxy]:
    """Run a proxy before the server at a port, in a thread of its own."""
    proxy = PostgresProxy(server_port)
    loop = asyncio.new_event_loop()
    listener = loop.run_until_complete(asyncio.start_server(proxy.serve, "127.0.0.1", 0))
    proxy.port = listener.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever, name="postgres proxy", daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        asyncio.run_coroutine_threadsafe(_end(listener), loop).result(timeout=10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=10)
        loop.close()


async def _end(listener: asyncio.Server) -> None:
    listener.close()
    served = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in served:
        task.cancel()
    await asyncio.gather(*served, return_exceptions=True)
