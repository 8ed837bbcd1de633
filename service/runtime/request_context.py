"""What is known about the request being served: its id, and the key that it came with.

One mutable object for each request: a dependency writes to it in one thread, and another thread reads it.
Outside of requests there is none.
"""

from contextvars import ContextVar
from dataclasses import dataclass

HEADER = "X-Request-ID"


@dataclass
class RequestContext:
    """`key_id` is set once the key is known."""

    request_id: str
    key_id: str | None = None


_current: ContextVar[RequestContext | None] = ContextVar("request_context", default=None)


def begin(request_id: str) -> RequestContext:
    """Start a request in this task; its threads see the same object."""
    context = RequestContext(request_id)
    _current.set(context)
    return context


def current() -> RequestContext | None:
    """Return the request being served, if any."""
    return _current.get()


def note_key(key_id: str) -> None:
    """Remember the key that the request came with."""
    context = _current.get()
    if context is not None:
        context.key_id = key_id


def id_header() -> dict[str, str]:
    """Return the header with the id of the request, for answers that bypass the middleware."""
    context = _current.get()
    return {HEADER: context.request_id} if context else {}
