"""More than the API can serve: bursts, crowds, slow connections. The server is that of `paretune up`.

It has a study worker and no trial worker. All clients live in this process, beside which the server has one
core left; a figure of theirs holds what they waited for themselves.
"""

import asyncio
import itertools
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from benchmarks.service.crowd import KeptConnection, Seen, Server, asked_all_the_while, head, opened, timed
from benchmarks.service.load import Connection
from benchmarks.service.results import Measured
from paretune.local import Stack, running_stack

BURST = 300
POLLERS, STREAMS, RUNNERS = 200, 100, 32
CROWD_SECONDS = 60.0
POLL_SECONDS = 2.0
SLOW = 1200
BODIES, BODY_BYTES = 300, 1_000_000
POSTS = 1000
STUDY: dict[str, Any] = {
    "kind": "custom",
    "display_name": "overload",
    "search_space": {
        "parameters": [
            {"type": "float", "name": "x", "low": 0.0, "high": 1.0},
            {"type": "float", "name": "y", "low": 0.0, "high": 1.0},
        ]
    },
    "objectives": [
        {"metric": "quality", "direction": "maximize"},
        {"metric": "cost", "direction": "minimize"},
    ],
    "budget": {"trials": 5000},
    "parallelism": RUNNERS,
    "proposals": {"proposer": "random"},
}


def measure() -> Iterator[Measured]:
    """Measure each kind of too much."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory(prefix="paretune-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        with running_stack(Path(folder) / "state", trial_workers=0, say=lambda _: None) as stack:
            server = Server(stack.url, stack.api_key)
            study = (
                Connection(stack.url, api_key=stack.api_key).send("POST", "/v1/studies", body=STUDY).json()
            )
            yield from asyncio.run(_crowd(stack, server, study["id"]))
            for path in (f"/v1/studies/{study['id']}/pareto_front", f"/v1/studies/{study['id']}/trials"):
                yield asyncio.run(_burst(server, path, named=path.rpartition("/")[2]))
            yield asyncio.run(_slow_connections(server))
            yield asyncio.run(_unread_bodies(stack, server))
            yield asyncio.run(_posts(server))


async def _burst(server: Server, path: str, *, named: str) -> Measured:
    seen = Seen()
    async with asked_all_the_while(server, "/healthz") as health:
        await asyncio.sleep(0.5)
        began = time.perf_counter()
        connections = [KeptConnection(server) for _ in range(BURST)]
        # Each asks for something else, so that none is answered from memory.
        addresses = (f"{path}?page_size={1 + n}" if named == "trials" else path for n in range(BURST))
        await asyncio.gather(
            *(
                timed(seen, connection, "GET", address)
                for connection, address in zip(connections, addresses, strict=True)
            )
        )
        seconds = time.perf_counter() - began
    for connection in connections:
        connection.close()
    return Measured(
        f"{BURST} GETs of {named} at once",
        {
            "seconds": round(seconds, 2),
            "answered": float(seen.statuses[200]),
            "told_to_come_back": float(seen.statuses[503]),
            "errors": float(seen.errors()),
            "healthz_max_ms": health.milliseconds(1.0),
        },
        at_most={"seconds": 10.0, "errors": 0.0, "healthz_max_ms": 500.0},
        at_least={"answered": 1.0},
    )


async def _crowd(stack: Stack, server: Server, study_id: str) -> list[Measured]:
    seen = {name: Seen() for name in ("poll", "suggest", "heartbeat", "complete")}
    events: list[list[int]] = [[] for _ in range(STREAMS)]
    megabytes: list[float] = []
    crowd = [
        *(_poller(server, study_id, seen["poll"], number) for number in range(POLLERS)),
        *(_stream(server, study_id, found) for found in events),
        *(_runner(server, study_id, seen, number) for number in range(RUNNERS)),
        _watch_memory(stack, megabytes),
    ]
    tasks = [asyncio.create_task(one) for one in crowd]
    await asyncio.sleep(CROWD_SECONDS)
    for task in tasks:
        task.cancel()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    broken = [item for item in ended if isinstance(item, Exception)]
    assert not broken, broken[:3]
    gaps = sum(found != list(range(1, len(found) + 1)) for found in events)
    trials = seen["complete"].statuses[200]
    return [
        Measured(
            f"{RUNNERS} runners, {POLLERS} pollers every {POLL_SECONDS:g} s, {STREAMS} event streams",
            {
                "trials_per_second": round(trials / CROWD_SECONDS, 1),
                "complete_p99_ms": seen["complete"].milliseconds(0.99),
                "heartbeat_p99_ms": seen["heartbeat"].milliseconds(0.99),
                "poll_p99_ms": seen["poll"].milliseconds(0.99),
                "told_to_come_back": float(sum(one.statuses[503] for one in seen.values())),
                "errors": float(sum(one.errors() for one in seen.values())),
                "streams_with_gap_or_double": float(gaps),
                "events_read": float(sum(map(len, events))),
                "api_megabytes": max(megabytes),
            },
            at_most={
                "complete_p99_ms": 2000.0, "heartbeat_p99_ms": 2000.0, "errors": 0.0,
                "streams_with_gap_or_double": 0.0, "api_megabytes": 250.0,
            },
            at_least={"trials_per_second": 5.0},
        )
    ]  # fmt: skip


async def _poller(server: Server, study_id: str, seen: Seen, number: int) -> None:
    connection = KeptConnection(server)
    path = f"/v1/studies/{study_id}{('', '/pareto_front')[number % 2]}"
    await asyncio.sleep(POLL_SECONDS * number / POLLERS)
    while True:
        await timed(seen, connection, "GET", path)
        await asyncio.sleep(POLL_SECONDS)


async def _runner(server: Server, study_id: str, seen: dict[str, Seen], number: int) -> None:
    connection = KeptConnection(server)
    path = f"/v1/studies/{study_id}/trials"
    asked = {"worker_id": f"runner-{number}", "wait_seconds": 10}
    while True:
        status, answer = await timed(seen["suggest"], connection, "POST", f"{path}:suggest", body=asked)
        if status != 200 or not answer["trials"]:
            await asyncio.sleep(0.5)
            continue
        (trial,) = answer["trials"]
        attempt, x, y = trial["attempt"], trial["parameters"]["x"], trial["parameters"]["y"]
        words = (
            ("heartbeat", {"attempt": attempt}),
            (
                "complete",
                {"attempt": attempt, "state": "SUCCEEDED", "metrics": {"quality": x, "cost": x * x + y}},
            ),
        )
        for verb, body in words:
            await _said(seen[verb], connection, f"{path}/{trial['trial_id']}:{verb}", body)


async def _said(seen: Seen, connection: KeptConnection, path: str, body: dict[str, Any]) -> None:
    while (await timed(seen, connection, "POST", path, body=body))[0] == 503:
        await asyncio.sleep(1)


async def _stream(server: Server, study_id: str, found: list[int]) -> None:
    reader, writer = await opened(server)
    events = {"Accept": "text/event-stream"}
    writer.write(head(server, "GET", f"/v1/studies/{study_id}/events?after=0", headers=events))
    try:
        while line := await reader.readline():
            if line.startswith(b"id: "):
                found.append(int(line[4:]))
    finally:
        writer.close()


async def _watch_memory(stack: Stack, megabytes: list[float]) -> None:
    process = psutil.Process(_api_pid(stack))
    while True:
        megabytes.append(round(process.memory_info().rss / 2**20, 1))
        await asyncio.sleep(0.25)


def _api_pid(stack: Stack) -> int:
    pid = next(item.child.pid for item in stack.supervised if item.child.name == "api")
    assert pid is not None
    return pid


async def _slow_connections(server: Server) -> Measured:
    async with asked_all_the_while(server, "/v1/studies?page_size=1") as before:
        await asyncio.sleep(5)
    slow = [asyncio.create_task(_trickle(server)) for _ in range(SLOW)]
    await asyncio.sleep(2)
    async with asked_all_the_while(server, "/v1/studies?page_size=1") as beside:
        await asyncio.sleep(20)
    for task in slow:
        task.cancel()
    await asyncio.gather(*slow, return_exceptions=True)
    return Measured(
        f"another client beside {SLOW} connections that send a byte a second",
        {
            "p50_ms": beside.milliseconds(0.5),
            "p99_ms": beside.milliseconds(0.99),
            "p50_ms_alone": before.milliseconds(0.5),
            "p99_ms_alone": before.milliseconds(0.99),
            "answered": float(beside.statuses[200]),
            "not_answered": float(beside.statuses.total() - beside.statuses[200]),
        },
        at_most={"not_answered": 0.0, "p99_ms": 500.0},
    )


async def _trickle(server: Server) -> None:
    while True:  # the server ends it, and it comes again
        _, writer = await opened(server)
        try:
            for byte in itertools.cycle(b"GET / HTTP/1.1\r\nX: "):
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(1)
        except OSError:
            await asyncio.sleep(1)
        finally:
            writer.close()


async def _unread_bodies(stack: Stack, server: Server) -> Measured:
    process = psutil.Process(_api_pid(stack))
    before = process.memory_info().rss
    most = before
    stranger = Server(server.url, "nobody")
    connections = [await opened(stranger) for _ in range(BODIES)]
    for _, writer in connections:
        writer.write(head(stranger, "POST", "/v1/studies", length=BODY_BYTES) + b"x" * (BODY_BYTES - 1))
    for _ in range(20):
        await asyncio.sleep(0.25)
        most = max(most, process.memory_info().rss)
    answers = [await reader.read(12) for reader, _ in connections]
    for _, writer in connections:
        writer.transport.abort()
    return Measured(
        f"{BODIES} bodies of 1 MB without a key",
        {
            "more_megabytes": round((most - before) / 2**20, 1),
            "turned_away": float(sum(answer.endswith(b"401") for answer in answers)),
        },
        at_most={"more_megabytes": 40.0},
        at_least={"turned_away": float(BODIES)},
    )


async def _posts(server: Server) -> Measured:
    seen = Seen()
    connections = [KeptConnection(server) for _ in range(POSTS)]

    async def post(number: int) -> str:
        key = {"Idempotency-Key": f"post-{number}"}
        body = {**STUDY, "budget": {"trials": 1}, "state": "PAUSED"}
        while True:
            status, answer = await timed(
                seen, connections[number], "POST", "/v1/studies", body=body, headers=key
            )
            if status == 201:
                return str(answer["id"])
            await asyncio.sleep(1)

    began = time.perf_counter()
    found = await asyncio.gather(*(post(number) for number in range(POSTS)))
    seconds = time.perf_counter() - began
    assert len(set(found)) == POSTS
    for connection in connections:
        connection.close()
    return Measured(
        f"{POSTS:,} studies created at once, each POST with its Idempotency-Key",
        {
            "seconds": round(seconds, 2),
            "told_to_come_back": float(seen.statuses[503]),
            "errors": float(seen.errors()),
        },
        at_most={"seconds": 20.0, "errors": 0.0},
    )
