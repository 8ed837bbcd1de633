"""How much work one process does at once, what waits, and what is refused.

Each kind of work has a number of places, and each tenant a share of them, so that neither takes those of
another. Commands, runners' requests among them, have priority: the more of them are at work, the fewer reads.
Of the tenants that wait, the one with the least at work is next; of its requests, the oldest. All places
together are fewer than threads and database connections, so work that has a place never waits for
those. Knows no HTTP and belongs to the event loop.
"""

import asyncio
import itertools
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus

from service.errors import ServiceError


class Overloaded(ServiceError, status=HTTPStatus.SERVICE_UNAVAILABLE):
    """The server has more to do than it can.

    The request was not carried out. Send it again after the seconds of `Retry-After`. What changes a study
    goes before what is read.
    """


class Kind(StrEnum):
    """What a request asks for. COMMAND: what changes a study, by its owner or a runner."""

    COMMAND = "command"
    READ = "read"
    CREATION = "creation"
    """May look at large files, or download them, before its short transaction."""
    UPLOAD = "upload"
    """Comes as slowly as its sender sends."""
    PROBE = "probe"


@dataclass(frozen=True)
class Places:
    """How many are at work at once, of all tenants and of one; how many wait, and for how many seconds."""

    at_once: int
    of_a_tenant: int
    waiting: int
    seconds: float


PLACES = {
    Kind.COMMAND: Places(at_once=14, of_a_tenant=10, waiting=2000, seconds=15.0),
    Kind.READ: Places(at_once=4, of_a_tenant=3, waiting=500, seconds=5.0),
    Kind.CREATION: Places(at_once=8, of_a_tenant=4, waiting=2000, seconds=30.0),
    Kind.UPLOAD: Places(at_once=8, of_a_tenant=4, waiting=100, seconds=15.0),
    Kind.PROBE: Places(at_once=2, of_a_tenant=1, waiting=500, seconds=5.0),
}
# Reads are few, because they share one interpreter with the commands: four keep a core busy.
READS_AT_LEAST = 2
"""Reads that are served however many commands there are."""
LONGEST_RETRY_SECONDS = 4


@dataclass(eq=False)
class Place:
    """One piece of work's place: taken, waited for or given back."""

    queue: "WorkQueue"
    kind: Kind
    tenant: str
    number: int = 0
    taken: bool = False
    has_waited: bool = False
    turn: asyncio.Future[None] = field(init=False, repr=False)

    def give_back(self) -> None:
        """Free the place; a second call changes nothing."""
        self.queue.leave(self)

    @asynccontextmanager
    async def given_back(self) -> AsyncIterator[None]:
        """Free the place for the length of a block that only waits, then wait for a place again.

        Raises:
            Overloaded: If there is none in time.
        """
        self.give_back()
        yield
        await self.queue.enter(self)


class WorkQueue:
    """The requests that one process works on, and those that wait for their turn."""

    def __init__(self) -> None:
        self.at_work: Counter[Kind] = Counter()
        self.waiting: Counter[Kind] = Counter()
        self._of_tenants: Counter[tuple[Kind, str]] = Counter()
        self._queues: dict[Kind, dict[str, deque[Place]]] = {kind: {} for kind in Kind}
        self._numbers = itertools.count()
        self._refused = 0

    @asynccontextmanager
    async def place(self, kind: Kind, tenant: str) -> AsyncIterator[Place]:
        """Have a place for the length of a block.

        Raises:
            Overloaded: If no place is free in time, or too many requests wait already.
        """
        place = Place(self, kind, tenant)
        await self.enter(place)
        try:
            yield place
        finally:
            self.leave(place)

    async def enter(self, place: Place) -> None:
        """Wait for a free place.

        Raises:
            Overloaded: If no place is free in time, or too many requests wait already.
        """
        if place.tenant not in self._queues[place.kind] and self._has_free_place(place.kind, place.tenant):
            self._take(place)
            return
        self._line_up(place)
        place.has_waited = True
        came = False
        try:
            async with asyncio.timeout(PLACES[place.kind].seconds):
                await place.turn
            came = True
        except TimeoutError as error:
            raise self._overloaded(f"this request has waited for {PLACES[place.kind].seconds:g} s") from error
        finally:
            if not came:
                self._withdraw(place)

    def leave(self, place: Place) -> None:
        """Give a place back, and begin what waits for it."""
        if not place.taken:
            return
        place.taken = False
        self.at_work[place.kind] -= 1
        self._of_tenants[place.kind, place.tenant] -= 1
        if not self._of_tenants[place.kind, place.tenant]:
            del self._of_tenants[place.kind, place.tenant]
        self._begin_waiting()

    def _take(self, place: Place) -> None:
        place.taken = True
        self.at_work[place.kind] += 1
        self._of_tenants[place.kind, place.tenant] += 1

    def _has_free_place(self, kind: Kind, tenant: str) -> bool:
        places = PLACES[kind]
        at_once = places.at_once
        if kind is Kind.READ:
            at_once = max(READS_AT_LEAST, at_once - self.at_work[Kind.COMMAND])
        return self.at_work[kind] < at_once and self._of_tenants[kind, tenant] < places.of_a_tenant

    def _line_up(self, place: Place) -> None:
        queues = self._queues[place.kind]
        if self.waiting[place.kind] >= PLACES[place.kind].waiting:
            crowd = max(queues, key=lambda tenant: len(queues[tenant]), default=place.tenant)
            if len(queues.get(crowd, ())) <= len(queues.get(place.tenant, ())) + 1:
                raise self._overloaded(f"{self.waiting[place.kind]:,} requests of this kind wait already")
            # The tenant with the longest queue loses its last request to one with a shorter queue.
            last = queues[crowd][-1]
            self._withdraw(last)
            if not last.turn.done():  # it may just have timed out, or its client have left
                last.turn.set_exception(self._overloaded("others, who ask for less, went first"))
        place.turn = asyncio.get_running_loop().create_future()
        place.number = next(self._numbers)
        queues.setdefault(place.tenant, deque()).append(place)
        self.waiting[place.kind] += 1

    def _withdraw(self, place: Place) -> None:
        queue = self._queues[place.kind].get(place.tenant)
        if place.taken:
            self.leave(place)
        elif queue is not None and place in queue:
            queue.remove(place)
            self._count_out(place)

    def _count_out(self, place: Place) -> None:
        self.waiting[place.kind] -= 1
        if not self._queues[place.kind][place.tenant]:
            del self._queues[place.kind][place.tenant]

    def _begin_waiting(self) -> None:
        for kind, queues in self._queues.items():
            while tenants := [tenant for tenant in queues if self._has_free_place(kind, tenant)]:
                place = min(
                    (queues[tenant][0] for tenant in tenants),
                    key=lambda first: (self._of_tenants[first.kind, first.tenant], first.number),
                )
                queues[place.tenant].popleft()
                self._count_out(place)
                self._take(place)
                if not place.turn.done():  # it may just have timed out
                    place.turn.set_result(None)

    def _overloaded(self, reason: str) -> Overloaded:
        # Spread, so that not all come back in the same second.
        self._refused += 1
        return Overloaded(
            f"The server has more to do than it can; {reason}.",
            retry_after_seconds=1 + self._refused % LONGEST_RETRY_SECONDS,
        )
