"""Read a body within limits of size and time, before the application sees any of it. Knows no route.

Time is limited as by Apache's `mod_reqtimeout`: some seconds to begin with, and more for each byte received.
"""

import asyncio
from collections import deque
from http import HTTPStatus
from types import MappingProxyType

from starlette.types import Message, Receive

from service.errors import BodyTooLarge, ServiceError

GRACE_SECONDS = 20.0
BYTES_PER_SECOND = 10_000


class BodyTooSlow(ServiceError, status=HTTPStatus.REQUEST_TIMEOUT):
    """The body did not come in time.

    The request was not carried out. Send it again over a faster connection; a table is smaller as Parquet.
    """

    headers = MappingProxyType({"Connection": "close"})


async def read_body(receive: Receive, *, max_bytes: int) -> Receive:
    """Read a body of at most `max_bytes`. Return a `receive` that begins with it.

    Raises:
        BodyTooLarge: If the body is longer, whether or not Content-Length says so.
        BodyTooSlow: If the body does not arrive in time.
    """
    messages: deque[Message] = deque()
    size = 0
    in_time = kept_in_time(receive)
    while True:
        message = await in_time()
        messages.append(message)
        size += len(message.get("body", b""))
        if size > max_bytes:
            raise too_large(max_bytes)
        if message["type"] != "http.request" or not message.get("more_body", False):
            break

    async def replay() -> Message:
        return messages.popleft() if messages else await receive()

    return replay


def too_large(max_bytes: int) -> BodyTooLarge:
    """Return the refusal of a body of more than `max_bytes`."""
    return BodyTooLarge(
        f"The limit is {max_bytes:,} bytes. A study needs no more; data goes to /v1/task_files."
    )


def kept_in_time(receive: Receive) -> Receive:
    """Return a `receive` that raises `BodyTooSlow` when a body falls behind."""
    now = asyncio.get_running_loop().time
    deadline = now() + GRACE_SECONDS
    complete = False

    async def receive_in_time() -> Message:
        nonlocal deadline, complete
        if complete:
            return await receive()  # only whether the client has gone
        try:
            async with asyncio.timeout_at(deadline):
                message = await receive()
        except TimeoutError as error:
            raise BodyTooSlow(
                f"A body has {GRACE_SECONDS:g} s, and a second more for every {BYTES_PER_SECOND:,} bytes."
            ) from error
        deadline += len(message.get("body", b"")) / BYTES_PER_SECOND
        complete = not message.get("more_body", False)
        return message

    return receive_in_time
