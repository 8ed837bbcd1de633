"""The events of one study to one client, as server-sent events (WHATWG HTML, section 9.2).

Only its position is kept of a client. One that stops reading is disconnected, and continues after its last
event when it connects again.
"""

import asyncio
from collections.abc import AsyncGenerator

import structlog
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from service.api.protocol.stream_places import STREAM_PLACES
from service.events.feed import EventFeed

log = structlog.get_logger(__name__)

HEARTBEAT = b": still here\n\n"
HEARTBEAT_SECONDS = 15.0
STALL_SECONDS = 30.0
"""How long a client may leave unread what is sent to it."""
LONGEST_SECONDS = 3600.0
"""Then the client connects again, and its key is checked again."""
RETRY = b"retry: 2000\n\n"


class EventStream(StreamingResponse):
    """Sends what comes after a number, until the study is deleted, the server stops, or an hour is over."""

    media_type = "text/event-stream"

    def __init__(self, feed: EventFeed, study_id: str, *, tenant_id: str, after: int) -> None:
        self._tenant_id = tenant_id
        self._frames = _frames(feed, study_id, after=after)
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        super().__init__(self._frames, headers=headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events; disconnect a client that has stopped reading.

        Raises:
            TooManyStreams: If as many are open as there may be.
        """

        async def send_in_time(message: Message) -> None:
            async with asyncio.timeout(STALL_SECONDS):
                await send(message)

        try:
            with STREAM_PLACES.get().place(self._tenant_id):
                await super().__call__(scope, receive, send_in_time)
        except TimeoutError:
            log.info("a client that does not read its events is cut off", path=scope["path"])
        finally:
            await self._frames.aclose()


async def _frames(feed: EventFeed, study_id: str, *, after: int) -> AsyncGenerator[bytes, None]:
    now = asyncio.get_running_loop().time
    ends_at = now() + LONGEST_SECONDS
    with feed.watch(study_id) as channel:
        yield RETRY
        while not feed.closed and now() < ends_at:
            bell = channel.bell
            frames = await channel.read(after=after)
            if frames is None:
                return
            if frames:
                yield b"".join(frame.content for frame in frames)
                after = frames[-1].sequence
                continue
            try:
                async with asyncio.timeout(HEARTBEAT_SECONDS):
                    await bell.wait()
            except TimeoutError:
                yield HEARTBEAT
