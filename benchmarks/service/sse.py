"""Clients that hold a stream of events open: what they cost in memory, and how late an event reaches them.

The clients live in this process, beside which the server has one core left; their own work is in the delay.
"""

import asyncio
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

from api_schemas.events import EventType
from api_schemas.studies import StudyState
from benchmarks.service.context import Context
from benchmarks.service.filling import CUSTOM_STUDY, add_study
from benchmarks.service.load import summary_ms
from benchmarks.service.results import Measured
from service.storage import queries
from service.storage.database import transaction
from service.storage.event_log import record_event

EVENTS = 40
PAUSE_SECONDS = 0.25
TARGET_MS = 100.0


def measure(context: Context) -> Iterator[Measured]:
    """Measure with 100 clients, which has a target, and with 200, as many as one tenant may have."""
    for clients in (100, 200):
        study_id = add_study(CUSTOM_STUDY, ended=10, state=StudyState.SUCCEEDED)
        before = context.api_megabytes()
        delays, megabytes = asyncio.run(_delays(context, study_id, clients=clients))
        assert len(delays) == clients * EVENTS
        figures = {
            **summary_ms(delays),
            "api_megabytes": megabytes,
            "more_megabytes": round(megabytes - before, 1),
        }
        yield Measured(
            f"{EVENTS} events to {clients} clients, from before the commit to each client",
            figures,
            at_most={"p99_ms": TARGET_MS} if clients == 100 else {},
        )


async def _delays(context: Context, study_id: str, *, clients: int) -> tuple[list[float], float]:
    written: dict[int, float] = {}
    arrived: list[tuple[int, float]] = []
    streams = [await _opened(context, study_id) for _ in range(clients)]
    readers = [asyncio.create_task(_read(stream, arrived)) for stream, _ in streams]
    await asyncio.sleep(1.0)
    idle_megabytes = context.api_megabytes()
    for _ in range(EVENTS):
        began, sequence = await asyncio.to_thread(_write, study_id)
        written[sequence] = began
        await asyncio.sleep(PAUSE_SECONDS)
    await asyncio.wait_for(asyncio.gather(*readers), timeout=60)
    for _, writer in streams:
        writer.close()
    return [at - written[sequence] for sequence, at in arrived], idle_megabytes


async def _opened(context: Context, study_id: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    address = urlsplit(context.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    last = await asyncio.to_thread(_last_sequence, study_id)
    writer.write(
        f"GET /v1/studies/{study_id}/events?after={last} HTTP/1.1\r\nHost: {address.netloc}\r\n"
        f"Authorization: Bearer {context.api_key}\r\nAccept: text/event-stream\r\n\r\n".encode()
    )
    status = await reader.readline()
    assert b" 200 " in status, status
    return reader, writer


async def _read(reader: asyncio.StreamReader, arrived: list[tuple[int, float]]) -> None:
    for _ in range(EVENTS):
        line = b""
        while not line.startswith(b"id: "):
            line = await reader.readline()
            assert line, "The server ended the stream."
        arrived.append((int(line[4:]), time.perf_counter()))


def _last_sequence(study_id: str) -> int:
    with transaction() as session:
        study = queries.lock_study(session, study_id)
        assert study is not None
        return study.event_sequence


def _write(study_id: str) -> tuple[float, int]:
    with transaction() as session:
        study = queries.lock_study(session, study_id)
        assert study is not None
        record_event(session, study, EventType.STUDY_UPDATED, display_name="again")
        session.flush()
        sequence = study.event_sequence
        began = time.perf_counter()
    return began, sequence
