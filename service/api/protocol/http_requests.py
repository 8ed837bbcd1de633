"""Around every request: an id that comes back to the caller and into every log line, a measurement, a line.

Reads that succeed are counted and not logged, for dashboards poll. A stream of events is measured while it
is open, not by its duration, which says nothing about the service. Knows no tenant and no study.
"""

import re
import time

import structlog
from opentelemetry import trace
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.metrics import HttpMetrics
from service.runtime import request_context
from service.storage.ids import new_id

log = structlog.get_logger(__name__)

SAFE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
"""What we take for an id from outside: nothing that could break a log line or a header."""
NAMED_IN_PATHS = re.compile(r"/(std|trl)_[0-9a-f]{32}")
NAMES = {"std": "study_id", "trl": "trial_id"}
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class HttpRequests:
    """ASGI middleware; the outermost one of ours."""

    def __init__(self, app: ASGIApp, *, metrics: HttpMetrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        context = _begin(scope)
        started = time.perf_counter()
        status = 500
        is_stream = False

        async def send_with_id(message: Message) -> None:
            nonlocal status, is_stream
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers[request_context.HEADER] = context.request_id
                is_stream = headers.get("Content-Type", "").startswith("text/event-stream")
                self.metrics.event_streams.inc(int(is_stream))
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        finally:
            if is_stream:
                self.metrics.event_streams.dec()
            else:
                self._ended(scope, status=status, seconds=time.perf_counter() - started)

    def _ended(self, scope: Scope, *, status: int, seconds: float) -> None:
        method = scope["method"] if scope["method"] in METHODS else "other"
        self.metrics.observe(method, _template(scope), status=status, seconds=seconds)
        if status >= 400 or method not in ("GET", "HEAD"):
            log.info("request", method=method, path=scope["path"], status=status, seconds=round(seconds, 4))


def _begin(scope: Scope) -> request_context.RequestContext:
    given = Headers(scope=scope).get(request_context.HEADER, "")
    # Never unset: a crash is logged and answered outside of this middleware.
    context = request_context.begin(given if SAFE_ID.fullmatch(given) else new_id("req"))
    named = {NAMES[match[1]]: match[0][1:] for match in NAMED_IN_PATHS.finditer(scope["path"])}
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(**named)
    trace.get_current_span().set_attributes({"request_id": context.request_id, **named})
    return context


def _template(scope: Scope) -> str:
    # Not the path itself, which would make a time series of each study.
    return getattr(scope.get("route"), "path_format", None) or "no route"
