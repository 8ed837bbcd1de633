"""Crowds of clients: a burst of reads at once, and connections that send half of a head and wait.

Each runs in a thread of its own beside the nemesis, for the crowd takes longer than a strike.
"""

import asyncio
import resource
import threading
from collections import Counter
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field

import httpx

READS = 300
CONNECTIONS = 1000
PATIENCE_SECONDS = 60.0
UNANSWERED = 0
ANSWERS = (200, 503, UNANSWERED)
"""A read is answered or told to come back; a server that is killed meanwhile answers nothing."""


@dataclass
class Crowds:
    """Who is still there, and what they were answered."""

    url: str
    api_key: str
    answers: Counter[int] = field(default_factory=Counter)
    connected: int = 0
    threads: list[threading.Thread] = field(default_factory=list)

    def read_at_once(self) -> None:
        """Ask for the studies, so many times at once."""
        self._start(self._read())

    def connect_and_wait(self, *, seconds: float) -> None:
        """Open so many connections, say half of what is wanted, and wait."""
        self._start(self._wait(seconds))

    def join(self) -> None:
        """Wait until all are gone."""
        for thread in self.threads:
            thread.join(2 * PATIENCE_SECONDS)

    def unexpected(self) -> list[str]:
        """Give the answers of reads that no read should get."""
        wrong = {status: count for status, count in self.answers.items() if status not in ANSWERS}
        return [f"{count} reads of a burst: {status}" for status, count in sorted(wrong.items())]

    def _start(self, crowd: Coroutine[None, None, None]) -> None:
        _open_more_files()
        thread = threading.Thread(target=asyncio.run, args=(crowd,), name="crowd", daemon=True)
        thread.start()
        self.threads.append(thread)

    async def _read(self) -> None:
        async with httpx.AsyncClient(
            base_url=self.url,
            headers={"Authorization": f"Bearer {self.api_key}"},
            timeout=PATIENCE_SECONDS,
            limits=httpx.Limits(max_connections=None),
        ) as http:
            await asyncio.gather(*(self._read_once(http) for _ in range(READS)))

    async def _read_once(self, http: httpx.AsyncClient) -> None:
        try:
            answer = await http.get("/v1/studies")
        except httpx.TransportError:
            self.answers[UNANSWERED] += 1
        else:
            self.answers[answer.status_code] += 1

    async def _wait(self, seconds: float) -> None:
        address = httpx.URL(self.url)
        await asyncio.gather(
            *(self._wait_once(address.host, address.port or 80, seconds) for _ in range(CONNECTIONS))
        )

    async def _wait_once(self, host: str, port: int, seconds: float) -> None:
        with suppress(OSError):
            _, writer = await asyncio.open_connection(host, port)
            self.connected += 1
            writer.write(b"GET /v1/studies HTTP/1.1\r\nHost: nemesis\r\n")
            await asyncio.sleep(seconds)
            writer.close()
            await writer.wait_closed()


def _open_more_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
