"""When a request is sent again, and what is said once patience is over. Sleeps and sends nothing itself."""

import random
import time
from typing import Any

import httpx
from pydantic import ValidationError

from api_schemas.errors import Problem
from paretune.client.requests import Patience, Request
from paretune.errors import ParetuneError, RequestRefused, ServerUnreachable

Failure = httpx.Response | httpx.TransportError

BUSY = (httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE)
LOST_CONNECTION = (httpx.NetworkError, httpx.TimeoutException, httpx.RemoteProtocolError)
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 5.0


class Retries:
    """The repetitions of one request: pauses that double and scatter, within its patience."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._started = time.monotonic()
        self._pause = FIRST_PAUSE_SECONDS
        self._repeating = False

    def is_done(self, request: Request[Any], response: httpx.Response) -> bool:
        """Say whether an answer means that what was asked for is so, by this try or an earlier one."""
        gone = response.status_code == httpx.codes.NOT_FOUND and request.gone_when_repeated
        return not response.is_error or (gone and self._repeating)

    def pause_after(self, failure: Failure) -> float | None:
        """Give the seconds until the next try; None if there is none."""
        self._repeating = True
        if isinstance(failure, httpx.Response):
            limit = self._patience.busy_seconds if failure.status_code in BUSY else 0.0
            wanted = _retry_after(failure)
        else:
            limit = self._patience.unreachable_seconds if isinstance(failure, LOST_CONNECTION) else 0.0
            wanted = 0.0
        # Scattered, so that many clients of a server that was away do not all come back at once.
        pause = wanted + self._pause * random.uniform(0.5, 1.0)  # noqa: S311  no secret
        self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)
        left = limit - (time.monotonic() - self._started)
        return pause if pause <= left else None


def explained(failure: Failure, *, base_url: object) -> ParetuneError:
    """Turn a failure into what the user can act on."""
    return (
        refusal(failure) if isinstance(failure, httpx.Response) else unreachable(failure, base_url=base_url)
    )


def unreachable(error: httpx.TransportError, *, base_url: object) -> ServerUnreachable:
    """Say that nobody answers, and where."""
    if isinstance(base_url, httpx.URL):
        base_url = base_url.copy_with(userinfo=b"")  # a password may stand there
    return ServerUnreachable(
        f"No Paretune server answers at {base_url} ({type(error).__name__}). "
        "Start one with `paretune up`, or set PARETUNE_URL."
    )


def refusal(response: httpx.Response) -> RequestRefused:
    """Read the problem of an error answer."""
    try:
        problem = Problem.model_validate_json(response.content)
    except ValidationError:
        problem = Problem(
            type="about:blank",
            title=f"The server answered {response.status_code}.",
            status=response.status_code,
            detail="The answer is no Paretune problem; is this the right address?",
        )
    return RequestRefused(problem)


def _retry_after(response: httpx.Response) -> float:
    # The other spelling, a date, would need clocks that agree.
    value = response.headers.get("Retry-After", "")
    return float(value) if value.isdecimal() else 0.0
