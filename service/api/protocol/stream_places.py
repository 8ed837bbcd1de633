"""How many streams of events one process holds open, of all tenants and of one.

A stream keeps its connection for up to an hour and never makes room, so without a bound a single key could
take every connection from heartbeats and probes. Knows no study and belongs to the event loop.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from service.api.protocol.connections import most_connections
from service.errors import ServiceError
from service.runtime.loop_local import LoopLocal

MOST_OF_A_TENANT = 200
"""A tenth of the streams of a process with all its connections: ten tenants at their limit have room."""
SHARE_OF_CONNECTIONS = 0.5
"""The other half is for requests that end."""
RETRY_SECONDS = 5


class TooManyStreams(ServiceError, status=HTTPStatus.TOO_MANY_REQUESTS, retry_after_seconds=RETRY_SECONDS):
    """As many streams of events are open as there may be.

    Close streams that nobody reads, or read pages: the same address without `Accept: text/event-stream`. Ask
    for a stream again after the seconds of `Retry-After`.
    """


class StreamPlaces:
    """The streams of one process that are open."""

    def __init__(self) -> None:
        self._of_tenants: Counter[str] = Counter()

    @contextmanager
    def place(self, tenant_id: str) -> Iterator[None]:
        """Have a stream open for the length of a block.

        Raises:
            TooManyStreams: If the tenant, or the process, has as many as it may.
        """
        self._check(tenant_id)
        self._of_tenants[tenant_id] += 1
        try:
            yield
        finally:
            self._of_tenants[tenant_id] -= 1
            if not self._of_tenants[tenant_id]:
                del self._of_tenants[tenant_id]

    def _check(self, tenant_id: str) -> None:
        cure = f"Read pages of events meanwhile, and ask for a stream again in {RETRY_SECONDS} s."
        if self._of_tenants[tenant_id] >= MOST_OF_A_TENANT:
            raise TooManyStreams(
                f"This tenant has {MOST_OF_A_TENANT} streams of events open here, as many as it may. "
                f"Close those that nobody reads. {cure}"
            )
        if self._of_tenants.total() >= int(most_connections() * SHARE_OF_CONNECTIONS):
            raise TooManyStreams(f"This server has as many streams of events open as it may. {cure}")


STREAM_PLACES = LoopLocal(StreamPlaces)
