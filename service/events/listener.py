"""The connection of this process that listens to Postgres notifications and wakes the waiters of the feed.

It reconnects until it succeeds. Knows no client and reads no event.
"""

import asyncio

import psycopg
import structlog

from service.events.feed import EventFeed
from service.settings import settings
from service.storage.connections import connect_arguments

log = structlog.get_logger(__name__)

CHANNEL = "paretune_events"
"""What the triggers on `events` and `studies` notify."""
APPLICATION_NAME = "paretune events"
PAUSE_SECONDS = 1.0
CHECK_SECONDS = 15.0
ANSWER_SECONDS = 5.0


async def listen(feed: EventFeed) -> None:
    """Ring for every notification until cancelled. The edge of the task: no error ends it."""
    while True:
        try:
            await _listen_once(feed)
        except (psycopg.Error, OSError, TimeoutError) as error:
            log.warning("events are not heard; listening again soon", reason=type(error).__name__)
        except Exception:
            log.exception("events are not heard; listening again soon")
        await asyncio.sleep(PAUSE_SECONDS)


async def _listen_once(feed: EventFeed) -> None:
    # As it is written: what SQLAlchemy would render has spaces of a password, which libpq does not take.
    url = settings().database_url.get_secret_value()
    _, _, place = url.partition("://")
    connection = await psycopg.AsyncConnection.connect(
        f"postgresql://{place}",
        autocommit=True,
        application_name=APPLICATION_NAME,
        **connect_arguments(url),
    )
    async with connection:
        await connection.execute(f"LISTEN {CHANNEL}")
        # For events that were written while the connection was down.
        feed.ring_all()
        while True:
            async for notification in connection.notifies(timeout=CHECK_SECONDS):
                feed.ring(notification.payload)
            # Detects a server that vanished without closing the connection.
            async with asyncio.timeout(ANSWER_SECONDS):
                await connection.execute("SELECT 1")
            # A pooler may swallow notifications; events then come late, but they come.
            feed.ring_all()
