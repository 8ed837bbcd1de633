"""Which requests are served now, which wait, and which are refused with `Retry-After`. Knows no study.

Requests that `authentication` refuses cost nothing and are answered at once, as is `/healthz`. All others
take a place in the `work_queue`, by kind and tenant, once their body has been read; a large body is read in
a place of its kind. A place is given back when the answer begins: only sending is left.
"""

import math
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace

from anyio import CancelScope
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.protocol.authentication import PREFIX, READING
from service.api.protocol.bodies import kept_in_time, read_body, too_large
from service.api.protocol.problems import problem_response
from service.api.protocol.work_queue import Kind, Overloaded, Place, WorkQueue
from service.errors import ServiceError
from service.runtime.loop_local import LoopLocal

AT_ONCE = "/healthz"
PROBES = frozenset({"/readyz", "/metrics"})
CREATIONS = re.compile(
    r"/v1/(studies|studies:validate|webhooks)|/v1/studies/[^/]+:clone|/v1/studies/[^/]+/trials:import"
)
SMALL_BYTES = 65_536
"""What the server reads of a body in advance, so that waiting for so much takes no place."""
TURNED_AWAY = SimpleNamespace(path_format="turned away")
"""The route in the metrics of requests that got no place."""


class AdmissionControl:
    """ASGI middleware that bounds the work in progress and serves the most important kinds first."""

    def __init__(
        self, app: ASGIApp, *, queues: LoopLocal[WorkQueue], max_bytes: int, streamed_prefix: str
    ) -> None:
        self.app = app
        self.queues = queues
        self.max_bytes = max_bytes
        self.streamed_prefix = streamed_prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request once it has a place, or refuse it."""
        is_http = scope["type"] == "http"
        if not is_http or scope["path"] == AT_ONCE or isinstance(scope.get("caller"), ServiceError):
            await self.app(scope, receive, send)
            return
        place: Place | None = None

        async def answer(message: Message) -> None:
            assert place is not None  # noqa: S101  an answer begins in a place
            place.give_back()
            await send(message)

        try:
            async with self._body(scope, receive) as body, self._place(scope, receive) as place:
                scope["place"] = place
                await self.app(scope, body, answer)
        except ServiceError as refused:
            if place is not None:
                raise
            scope.setdefault("route", TURNED_AWAY)
            response = problem_response(refused.as_problem(), headers=dict(refused.headers))
            await response(scope, receive, send)

    @asynccontextmanager
    async def _body(self, scope: Scope, receive: Receive) -> AsyncIterator[Receive]:
        if self._streams(scope):
            yield kept_in_time(receive)
        elif _declared_bytes(scope) > self.max_bytes:
            # Before a client with `Expect: 100-continue` is answered 100.
            raise too_large(self.max_bytes)
        elif "transfer-encoding" not in Headers(scope=scope) and _declared_bytes(scope) <= SMALL_BYTES:
            yield await read_body(receive, max_bytes=self.max_bytes)
        else:
            async with self.queues.get().place(Kind.UPLOAD, _tenant(scope)):
                yield await read_body(receive, max_bytes=self.max_bytes)

    @asynccontextmanager
    async def _place(self, scope: Scope, receive: Receive) -> AsyncIterator[Place]:
        kind = self._kind(scope)
        async with self.queues.get().place(kind, _tenant(scope)) as place:
            if place.has_waited and kind is not Kind.UPLOAD and await _has_gone(receive):
                raise Overloaded("The client has not waited for its turn.", retry_after_seconds=1)
            yield place

    def _streams(self, scope: Scope) -> bool:
        return bool(scope["method"] == "PUT" and scope["path"].startswith(self.streamed_prefix))

    def _kind(self, scope: Scope) -> Kind:
        path = scope["path"]
        if path in PROBES:
            return Kind.PROBE
        if scope["method"] in READING:
            return Kind.READ
        if self._streams(scope):
            return Kind.UPLOAD
        return Kind.CREATION if CREATIONS.fullmatch(path) else Kind.COMMAND


async def _has_gone(receive: Receive) -> bool:
    # The body has been read: only a disconnect can still come.
    with CancelScope() as looking:
        looking.cancel()
        return bool((await receive())["type"] == "http.disconnect")
    return False


def _declared_bytes(scope: Scope) -> float:
    declared = Headers(scope=scope).get("content-length", "0")
    # The server accepts only digits; an in-process client may send anything.
    return int(declared) if declared.isdecimal() and len(declared) <= 20 else math.inf


def _tenant(scope: Scope) -> str:
    path = scope["path"]
    if path.startswith(PREFIX):
        tenant: str = scope["caller"].tenant_id
        return tenant
    return path if path in PROBES else ""
