"""Follow the events of a study over as many connections as it takes."""

import math
import time
from collections.abc import Iterator

import httpx

from api_schemas.events import EventRead
from paretune.client.requests import segment
from paretune.client.retries import is_stream, refusal, unreachable
from paretune.errors import RequestRefused
from paretune.event_stream import EventReader

PATIENCE_SECONDS = 60.0
"""How long a stream that has been heard waits for a server that is away."""

PAUSE_SECONDS = 1.0
PASSING = (httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE)
STREAM_TIMEOUT = httpx.Timeout(30.0, read=45.0)
"""Three heartbeats without a word, and the connection is lost."""


def follow_events(http: httpx.Client, study_id: str, *, after: int) -> Iterator[EventRead]:
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
            with http.stream("GET", path, headers=reader.reconnect(), timeout=STREAM_TIMEOUT) as response:
                if response.status_code == httpx.codes.NOT_FOUND and heard > 0:
                    return
                if not is_stream(response):
                    response.read()
                    raise refusal(response)
                for received in response.iter_bytes():
                    heard = time.monotonic()
                    yield from reader.take(received)
        except httpx.RequestError as error:
            if time.monotonic() > heard + PATIENCE_SECONDS:
                raise unreachable(error, base_url=http.base_url) from error
        except RequestRefused as refused:
            lasting = refused.problem.status not in PASSING
            if lasting or time.monotonic() > heard + PATIENCE_SECONDS:
                raise
        time.sleep(PAUSE_SECONDS)
