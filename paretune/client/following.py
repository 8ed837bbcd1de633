"""Follow the events of a study over as many connections as it takes."""

import math
import time
from collections.abc import Iterator
from typing import Any

import httpx

from api_schemas.events import EventRead
from paretune.client.requests import segment
from paretune.client.retries import is_stream, refusal, unreachable
from paretune.errors import RequestRefused
from paretune.event_stream import EventReader

PATIENCE_SECONDS = 60.0
"""How long a stream that has been heard waits for a server that is away."""

PAUSE_SECONDS = 1.0
PASSING = (
    httpx.codes.TOO_MANY_REQUESTS,
    httpx.codes.BAD_GATEWAY,
    httpx.codes.SERVICE_UNAVAILABLE,
    httpx.codes.GATEWAY_TIMEOUT,
)
"""What a busy server answers, or a proxy before one that starts again."""
STREAM_TIMEOUT = httpx.Timeout(30.0, read=45.0)
"""Three heartbeats without a word, and the connection is lost."""


class Following:
    """How far the events of a study have come, and whether to wait for more. Sends nothing itself."""

    def __init__(self, http: httpx.Client | httpx.AsyncClient, study_id: str, *, after: int) -> None:
        self._base_url = http.base_url
        self._path = f"/v1/studies/{segment(study_id)}/events"
        self._reader = EventReader(after=after)
        self._heard = -math.inf

    def arguments(self) -> dict[str, Any]:
        """Return what asks for the events after those that have come."""
        headers = self._reader.reconnect()
        return {"method": "GET", "url": self._path, "headers": headers, "timeout": STREAM_TIMEOUT}

    def is_over(self, response: httpx.Response) -> bool:
        """Return whether the study was deleted after its first events."""
        return response.status_code == httpx.codes.NOT_FOUND and self._heard > 0

    def take(self, received: bytes) -> Iterator[EventRead]:
        """Yield the events that are complete now."""
        self._heard = time.monotonic()
        yield from self._reader.take(received)

    def raise_lasting(self, error: httpx.RequestError | RequestRefused) -> None:
        """Raise an error unless the connection may be opened again after it."""
        is_patient = time.monotonic() <= self._heard + PATIENCE_SECONDS
        if isinstance(error, RequestRefused):
            if not is_patient or error.problem.status not in PASSING:
                raise error
        elif not is_patient:
            raise unreachable(error, base_url=self._base_url) from error


def follow_events(http: httpx.Client, study_id: str, *, after: int) -> Iterator[EventRead]:
    """Yield the events of a study after a number, and go on as they happen.

    Raises:
        RequestRefused: If there is no such study.
        ServerUnreachable: If no server answers at first, or none has for a minute.
    """
    following = Following(http, study_id, after=after)
    while True:
        try:
            with http.stream(**following.arguments()) as response:
                if following.is_over(response):
                    return
                if not is_stream(response):
                    response.read()
                    raise refusal(response)
                for received in response.iter_bytes():
                    yield from following.take(received)
        except (httpx.RequestError, RequestRefused) as error:
            following.raise_lasting(error)
        time.sleep(PAUSE_SECONDS)
