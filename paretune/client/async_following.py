"""The twin of `following`, for asynchronous programs."""

import asyncio
import math
import time
from collections.abc import AsyncGenerator

import httpx

from api_schemas.events import EventRead
from paretune.client import following
from paretune.client.requests import segment
from paretune.client.retries import is_stream, refusal, unreachable
from paretune.errors import RequestRefused
from paretune.event_stream import EventReader


async def follow_events(
    http: httpx.AsyncClient, study_id: str, *, after: int
) -> AsyncGenerator[EventRead, None]:
    """Yield the events of a study after a number, and go on as they happen.

    Raises:
        RequestRefused: If there is no such study.
        ServerUnreachable: If no server answers at first, or none has for a minute.
    """
    reader = EventReader(after=after)
    heard = -math.inf
    path = f"/v1/studies/{segment(study_id)}/events"
    while True:
        try:
            async with http.stream(
                "GET", path, headers=reader.reconnect(), timeout=following.STREAM_TIMEOUT
            ) as response:
                if response.status_code == httpx.codes.NOT_FOUND and heard > 0:
                    return
                if not is_stream(response):
                    await response.aread()
                    raise refusal(response)
                async for received in response.aiter_bytes():
                    heard = time.monotonic()
                    for event in reader.take(received):
                        yield event
        except httpx.RequestError as error:
            if time.monotonic() > heard + following.PATIENCE_SECONDS:
                raise unreachable(error, base_url=http.base_url) from error
        except RequestRefused as refused:
            lasting = refused.problem.status not in following.PASSING
            if lasting or time.monotonic() > heard + following.PATIENCE_SECONDS:
                raise
        await asyncio.sleep(following.PAUSE_SECONDS)
