"""The one connection of this process that listens to Postgres, and rings the bells of the feed.

It is opened again for as long as it takes. Knows no client and reads no event.
"""

import asyncio

import psycopg
import structlog
from sqlalchemy import make_url

from service.events.feed import EventFeed
from service.settings import settings

log = structlog.get_logger(__name__)

CHANNEL = "paretune_events"
"""What the triggers on `events` and `studies` notify."""
APPLICATION_NAME = "paretune events"
PAUSE_SECONDS = 1.0
CHECK_SECONDS = 15.0
ANSWER_SECONDS = 5.0


async def listen(feed: EventFeed) -> None:
    """Ring for every notification, whatever happens, until cancelled: this is the task's edge."""
    while True:
        try:
            await _listen_once(feed)
        except (psycopg.Error, OSError, TimeoutError) as error:
            log.warning("events are not heard; listening again soon", reason=type(error).__name__)
        except Exception:
            log.exception("events are not heard; listening again soon")
        await asyncio.sleep(PAUSE_SECONDS)


async def _listen_once(feed: EventFeed) -> None:
    connection = await psycopg.AsyncConnection.connect(
        _libpq_url(), autocommit=True, connect_timeout=5, application_name=APPLICATION_NAME
    )
    async with connection:
        await connection.execute(f"LISTEN {CHANNEL}")
        # For what was written while nobody listened.
        feed.ring_all()
        while True:
            async for notification in connection.notifies(timeout=CHECK_SECONDS):
                feed.ring(notification.payload)
            # A server that went without a word is noticed here.
            async with asyncio.timeout(ANSWER_SECONDS):
                await connection.execute("SELECT 1")
            # A pooler may swallow notifications; then events are late, and not missing.
            feed.ring_all()


def _libpq_url() -> str:
    url = make_url(settings().database_url.get_secret_value()).set(drivername="postgresql")
    return url.render_as_string(hide_password=False)
