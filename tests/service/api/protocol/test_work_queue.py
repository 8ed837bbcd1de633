"""Places: bounded for each kind and tenant, in turn, and never lost."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import QueuePool

from service.api.protocol import work_queue
from service.api.protocol.work_queue import PLACES, READS_AT_LEAST, Kind, Overloaded, WorkQueue
from service.storage import database


async def in_line(queue: WorkQueue, kind: Kind, tenant: str, began: list[str]) -> None:
    async with queue.place(kind, tenant):
        began.append(tenant)
        await asyncio.sleep(0)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture
def two_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two reads at once, of any tenant; three may wait, for a moment."""
    places = replace(PLACES[Kind.READ], at_once=2, of_a_tenant=2, waiting=3, seconds=0.02)
    monkeypatch.setitem(PLACES, Kind.READ, places)


def test_whoever_waits_too_long_is_told_when_to_come_back(two_reads: None) -> None:
    """503 with Retry-After; the places are there for the next."""

    async def ask() -> WorkQueue:
        queue = WorkQueue()
        async with queue.place(Kind.READ, "a"), queue.place(Kind.READ, "a"):
            with pytest.raises(Overloaded, match="has waited") as refused:
                async with queue.place(Kind.READ, "a"):
                    pytest.fail("there was no place")
            assert 1 <= int(refused.value.headers["Retry-After"]) <= 4
        async with queue.place(Kind.READ, "a"), queue.place(Kind.READ, "a"):
            return queue

    queue = asyncio.run(ask())
    assert not +queue.at_work
    assert not +queue.waiting


def test_a_tenant_that_sends_most_makes_room_for_others(two_reads: None) -> None:
    """Its newest is refused when the line is full; its own next is refused at once."""

    async def ask() -> list[object]:
        queue, began = WorkQueue(), list[str]()
        async with queue.place(Kind.READ, "a"), queue.place(Kind.READ, "a"):
            crowd = [asyncio.create_task(in_line(queue, Kind.READ, "a", began)) for _ in range(4)]
            await settle()
            other = asyncio.create_task(in_line(queue, Kind.READ, "b", began))
            await settle()
        return [began, *await asyncio.gather(*crowd, other, return_exceptions=True)]

    began, *ended = asyncio.run(ask())
    assert began == ["b", "a", "a"]
    assert [type(item) for item in ended] == [type(None), type(None), Overloaded, Overloaded, type(None)]


def test_one_that_was_just_given_up_makes_room_like_any_other(two_reads: None) -> None:
    """Its own request is over already; the one that came instead waits, and nobody gets an error of its."""

    async def ask() -> list[object]:
        queue, began = WorkQueue(), list[str]()
        async with queue.place(Kind.READ, "a"), queue.place(Kind.READ, "a"):
            crowd = [asyncio.create_task(in_line(queue, Kind.READ, "a", began)) for _ in range(3)]
            await settle()
            other = asyncio.create_task(in_line(queue, Kind.READ, "b", began))
            # It ends at once, and leaves the line only after the other has come.
            crowd[-1].cancel()
            await settle()
        return [began, *await asyncio.gather(*crowd, other, return_exceptions=True)]

    began, *ended = asyncio.run(ask())
    assert began == ["b", "a", "a"]
    assert [type(item) for item in ended] == [
        type(None),
        type(None),
        asyncio.CancelledError,
        type(None),
    ]


def test_the_tenant_with_the_least_at_work_is_next(two_reads: None) -> None:
    """Though others have waited longer; of one tenant's, the oldest first."""

    async def ask() -> list[str]:
        queue, began = WorkQueue(), list[str]()
        async with AsyncExitStack() as first, AsyncExitStack() as second:
            await first.enter_async_context(queue.place(Kind.READ, "a"))
            await second.enter_async_context(queue.place(Kind.READ, "c"))
            waiting = [
                asyncio.create_task(in_line(queue, Kind.READ, name, began)) for name in ("a", "a", "b")
            ]
            await settle()
            await second.aclose()
            await asyncio.gather(*waiting)
        return began

    assert asyncio.run(ask()) == ["b", "a", "a"]


def test_reads_give_way_to_commands() -> None:
    """The more commands, the fewer reads, but always some; commands do not wait for reads."""

    async def ask() -> None:
        queue = WorkQueue()
        async with AsyncExitStack() as places:
            for number in range(PLACES[Kind.READ].at_once):
                await places.enter_async_context(queue.place(Kind.READ, str(number)))
            async with asyncio.timeout(1):
                for number in range(PLACES[Kind.COMMAND].at_once):
                    await places.enter_async_context(queue.place(Kind.COMMAND, str(number)))
        async with AsyncExitStack() as places:
            for number in range(PLACES[Kind.COMMAND].at_once):
                await places.enter_async_context(queue.place(Kind.COMMAND, str(number)))
            began: list[str] = []
            reads = [asyncio.create_task(in_line(queue, Kind.READ, str(n), began)) for n in range(9)]
            await asyncio.sleep(0)
            assert queue.at_work[Kind.READ] == READS_AT_LEAST
            await asyncio.gather(*reads)

    asyncio.run(ask())


def test_a_tenant_takes_no_place_that_others_may_need() -> None:
    """Of every kind that tenants use, one tenant has less than there is."""
    for kind, places in PLACES.items():
        assert places.of_a_tenant < places.at_once, kind


def test_there_are_fewer_places_than_threads_and_connections(service_environment: None) -> None:
    """Whoever has a place waits for neither; uploads take no connection, and some are left for events."""
    threads = 40
    pool = database.engine().pool
    assert isinstance(pool, QueuePool)
    connections = pool.size() + pool._max_overflow
    at_once = sum(places.at_once for places in PLACES.values())
    assert at_once <= threads
    assert at_once - PLACES[Kind.UPLOAD].at_once <= connections - 4


def test_whoever_only_waits_lets_others_work(two_reads: None) -> None:
    """Aside, its place is another's; afterwards it waits for one again."""

    async def ask() -> list[str]:
        queue, began = WorkQueue(), list[str]()
        async with queue.place(Kind.READ, "a"), queue.place(Kind.READ, "a") as place:
            async with place.given_back():
                await in_line(queue, Kind.READ, "b", began)
            assert queue.at_work[Kind.READ] == 2
            place.give_back()
            place.give_back()
            assert queue.at_work[Kind.READ] == 1
        return began

    assert asyncio.run(ask()) == ["b"]


@given(
    asked=st.lists(
        st.tuples(st.sampled_from(list(Kind)), st.sampled_from("abc"), st.integers(0, 4), st.booleans()),
        max_size=60,
    )
)
def test_no_order_of_events_loses_a_place(asked: list[tuple[Kind, str, int, bool]]) -> None:
    """Limits hold at every moment, whoever is cancelled when; in the end nothing is at work, none waits."""
    queue, most = WorkQueue(), Counter[Kind]()

    async def work(kind: Kind, tenant: str, turns: int) -> None:
        async with queue.place(kind, tenant):
            most[kind] = max(most[kind], queue.at_work[kind])
            for _ in range(turns):
                await asyncio.sleep(0)

    async def all_of_it() -> None:
        tasks = []
        for kind, tenant, turns, is_cancelled in asked:
            task = asyncio.create_task(work(kind, tenant, turns))
            tasks.append(task)
            if is_cancelled:
                await asyncio.sleep(0)
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(all_of_it())
    assert not +queue.at_work
    assert not +queue.waiting
    assert all(most[kind] <= PLACES[kind].at_once for kind in Kind)


def test_every_refusal_names_another_second() -> None:
    """So that not all come back at once."""
    queue = WorkQueue()
    seconds = {queue._overloaded("r").headers["Retry-After"] for _ in range(8)}
    assert len(seconds) == work_queue.LONGEST_RETRY_SECONDS
