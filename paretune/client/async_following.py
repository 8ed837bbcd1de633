"""The twin of `following`, for asynchronous programs."""

import asyncio
from collections.abc import AsyncGenerator

import httpx

from api_schemas.events import EventRead
from paretune.client import following
from paretune.client.retries import is_stream, refusal
from paretune.errors import RequestRefused


async def follow_events(
    http: httpx.AsyncClient, study_id: str, *, after: int
) -> AsyncGenerator[EventRead, None]:
    """Yield the events of a study after a number, and go on as they happen.

    Raises:
        RequestRefused: If there is no such study.
        ServerUnreachable: If no server answers at first, or none has for a minute.
    """
    followed = following.Following(http, study_id, after=after)
    while True:
        try:
            async with http.stream(**followed.arguments()) as response:
                if followed.is_over(response):
                    return
                if not is_stream(response):
                    await response.aread()
                    raise refusal(response)
                async for received in response.aiter_bytes():
                    for event in followed.take(received):
                        yield event
        except (httpx.RequestError, RequestRefused) as error:
            followed.raise_lasting(error)
        await asyncio.sleep(following.PAUSE_SECONDS)
