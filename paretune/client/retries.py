"""When a request is sent again, and what is said once patience is over. Sleeps and sends nothing itself."""

import math
import random
import time
from collections.abc import Callable
from typing import Any, TypeVar

import httpx
from pydantic import ValidationError

from api_schemas.errors import Problem
from paretune.client.requests import Patience, Request
from paretune.errors import (
    AnswerNotUnderstood,
    AnswerTooLate,
    CannotBeSent,
    ParetuneError,
    RequestRefused,
    ServerUnreachable,
)

Failure = httpx.Response | httpx.RequestError
Value = TypeVar("Value")

BUSY = (httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE)
IN_PROGRESS = "/problems/request-in-progress"
"""An earlier try of the same request is still being served."""

LOST_CONNECTION = (httpx.NetworkError, httpx.TimeoutException, httpx.RemoteProtocolError)
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 5.0


class Retries:
    """The repetitions of one request: pauses that double and scatter, within its patience.

    Patience runs from the first failure: until then the server was at work on the answer, not away.
    """

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._busy_since = self._unreachable_since = math.inf
        self._pause = FIRST_PAUSE_SECONDS
        self._repeating = False

    def is_done(self, request: Request[Any], response: httpx.Response) -> bool:
        """Return whether an answer means that what was asked for is so, by this try or an earlier one."""
        gone = response.status_code == httpx.codes.NOT_FOUND and request.gone_when_repeated
        return response.is_success or (gone and self._repeating)

    def pause_after(self, failure: Failure) -> float | None:
        """Return the seconds until the next try; None if there is none."""
        self._repeating = True
        if isinstance(failure, httpx.Response):
            left, wanted = self._left_for_busy(failure), _retry_after(failure)
        else:
            left, wanted = self._left_for_unreachable(failure), 0.0
        # Scattered, so that many clients of a server that was away do not all come back at once.
        pause = wanted + self._pause * random.uniform(0.5, 1.0)  # noqa: S311  no secret
        self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)
        return pause if pause <= left else None

    def _left_for_busy(self, answer: httpx.Response) -> float:
        now = time.monotonic()
        self._busy_since = min(self._busy_since, now)
        return self._patience.busy_seconds + self._busy_since - now if _is_busy(answer) else 0.0

    def _left_for_unreachable(self, error: httpx.RequestError) -> float:
        now = time.monotonic()
        self._unreachable_since = min(self._unreachable_since, now)
        lost = isinstance(error, LOST_CONNECTION)
        return self._patience.unreachable_seconds + self._unreachable_since - now if lost else 0.0


def explained(failure: Failure, *, base_url: object) -> ParetuneError:
    """Turn a failure into what the user can act on."""
    return (
        refusal(failure) if isinstance(failure, httpx.Response) else unreachable(failure, base_url=base_url)
    )


def unreachable(error: httpx.RequestError, *, base_url: object) -> ParetuneError:
    """Return the error for a server that cannot be reached, or that has not answered in time."""
    if isinstance(base_url, httpx.URL):
        base_url = base_url.copy_with(userinfo=b"")  # a password may stand there
    if isinstance(error, httpx.ReadTimeout):
        return AnswerTooLate(
            f"The server at {base_url} has not answered within {_read_seconds(error):g} seconds. "
            "It may still be at work on the request: see what became of it (`paretune status`) before you "
            "ask again."
        )
    if isinstance(error, httpx.DecodingError):
        return AnswerNotUnderstood(_no_paretune(base_url))
    if isinstance(error, httpx.LocalProtocolError | httpx.UnsupportedProtocol):
        return CannotBeSent(f"Nothing was sent to {base_url}: {error}.")
    if "SSL" in str(error) or "certificate" in str(error):
        return ServerUnreachable(
            f"Something answers at {base_url}, and no safe connection can be made to it: {error}. "
            "Is it https:// there, and with a certificate that this machine trusts?"
        )
    if isinstance(error, httpx.ProxyError):
        return ServerUnreachable(
            f"The proxy that HTTP_PROXY or HTTPS_PROXY names lets nothing through to {base_url}: {error}."
        )
    return ServerUnreachable(
        f"No Paretune server answers at {base_url} ({type(error).__name__}). "
        "Start one with `paretune up`, or set PARETUNE_URL."
    )


def refusal(response: httpx.Response) -> RequestRefused:
    """Read the problem of an error answer."""
    try:
        problem = Problem.model_validate_json(response.content)
    except ValidationError:
        elsewhere = response.headers.get("Location") if response.is_redirect else None
        problem = Problem(
            type="about:blank",
            title=f"The server answered {response.status_code}.",
            status=response.status_code,
            detail="The answer is no Paretune problem; is this the right address?"
            if elsewhere is None
            else f"It redirects to {elsewhere}. If the server is there, give that as its address.",
        )
    return RequestRefused(problem)


def is_stream(response: httpx.Response) -> bool:
    """Return whether an answer is a stream of events, and not the page of whatever else is there."""
    return response.is_success and response.headers.get("Content-Type", "").startswith("text/event-stream")


def understood(parse: Callable[[bytes], Value], response: httpx.Response) -> Value:
    """Read an answer.

    Raises:
        AnswerNotUnderstood: If it is not what a server of this version says.
    """
    try:
        return parse(response.content)
    except ValidationError as error:
        raise AnswerNotUnderstood(_no_paretune(response.url.copy_with(path="/", query=None))) from error


def _no_paretune(base_url: object) -> str:
    return (
        f"What answers at {base_url} is no Paretune server, or one of another version than this client. "
        "Is this the right address? If it is, install the version of the server."
    )


def _is_busy(response: httpx.Response) -> bool:
    if response.status_code == httpx.codes.CONFLICT:
        return refusal(response).problem.type == IN_PROGRESS
    return response.status_code in BUSY


def _read_seconds(error: httpx.ReadTimeout) -> float:
    return float(error.request.extensions["timeout"]["read"])


def _retry_after(response: httpx.Response) -> float:
    # The other spelling, a date, would need clocks that agree.
    value = response.headers.get("Retry-After", "")
    return float(value) if value.isdecimal() else 0.0
