"""Which studies are watched in this process, and the events that their clients read next.

A bell signals that a study may have new events; they are read from the database once for all clients of the
study. A client is a position in the log and gets the events after it, so none is lost or sent twice, however
often a bell rings. Everything here belongs to the event loop. Knows no HTTP.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import structlog
from sqlalchemy.exc import OperationalError

from api_schemas.events import EventRead
from service.storage import event_log
from service.storage.database import transaction

log = structlog.get_logger(__name__)

KEPT = 256
"""Recent events that the clients of one study share, and the most that one read takes from the database."""


@dataclass(frozen=True)
class Frame:
    """An event as it goes over the wire."""

    sequence: int
    content: bytes


READERS = 2
"""Threads of a process that read events, so that streams take none of those that answer requests."""

Result = TypeVar("Result")


class StudyChannel:
    """What the clients of one study share: a bell, and the last events."""

    def __init__(self, study_id: str, readers: Executor) -> None:
        self.study_id = study_id
        self._readers = readers
        self.watchers = 0
        self.bell = asyncio.Event()
        self._rings = 0
        self._rings_answered = -1
        self._last: int | None = None
        self._recent: deque[Frame] = deque(maxlen=KEPT)
        self._deleted = False
        self._reading = asyncio.Lock()

    def ring(self) -> None:
        """Signal that there may be new events."""
        self._rings += 1
        self.bell.set()
        self.bell = asyncio.Event()

    async def read(self, *, after: int) -> Sequence[Frame] | None:
        """Return the next events after a number; none if there are none yet, None if the study is deleted.

        Get the `bell` before the call: it then rings for every event that the call misses.
        """
        try:
            async with self._reading:
                if self._rings_answered != self._rings:
                    await self._catch_up()
                if self._deleted or self._last is None:
                    return None
                oldest = self._recent[0].sequence - 1 if self._recent else self._last
                if after >= oldest:
                    return [frame for frame in self._recent if frame.sequence > after]
            return await self._in_thread(partial(_read_frames, self.study_id, after))
        except OperationalError as error:
            # The bell rings when the database is back.
            log.warning("the database is away; events wait", reason=type(error).__name__)
            return []

    async def _catch_up(self) -> None:
        rings = self._rings
        last = await self._in_thread(partial(_read_last, self.study_id))
        if last is None:
            self._deleted = True
        elif self._last is None or last > self._last + KEPT:
            # Clients that are further behind read on their own.
            self._recent.clear()
            self._last = last
        elif last > self._last:
            frames = await self._in_thread(partial(_read_frames, self.study_id, self._last))
            self._recent.extend(frames)
            self._last = frames[-1].sequence if frames else last
        self._rings_answered = rings

    async def _in_thread(self, read: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._readers, read)


class EventFeed:
    """The channels of one process."""

    def __init__(self) -> None:
        self.channels: dict[str, StudyChannel] = {}
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="events")
        self.closed = False

    @contextmanager
    def watch(self, study_id: str) -> Iterator[StudyChannel]:
        """Join the channel of a study for the length of a block."""
        channel = self.channels.setdefault(study_id, StudyChannel(study_id, self._readers))
        channel.watchers += 1
        try:
            yield channel
        finally:
            channel.watchers -= 1
            if not channel.watchers:
                del self.channels[study_id]

    def ring(self, study_id: str) -> None:
        """Signal that a study may have new events."""
        if channel := self.channels.get(study_id):
            channel.ring()

    def ring_all(self) -> None:
        """Signal that every study may have new events."""
        for channel in self.channels.values():
            channel.ring()

    def close(self) -> None:
        """End every stream."""
        self.closed = True
        self.ring_all()


def _read_last(study_id: str) -> int | None:
    with transaction() as session:
        return event_log.last_sequence(session, study_id)


def _read_frames(study_id: str, after: int) -> list[Frame]:
    with transaction() as session:
        events = event_log.list_events(session, study_id, after=after, page_size=KEPT)
        return [_frame(EventRead.model_validate(event)) for event in events]


def _frame(event: EventRead) -> Frame:
    # https://html.spec.whatwg.org/multipage/server-sent-events.html: JSON has no line breaks.
    content = f"event: {event.type}\ndata: {event.model_dump_json()}\nid: {event.sequence}\n\n"
    return Frame(event.sequence, content.encode())
