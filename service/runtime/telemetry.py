"""Traces by OpenTelemetry: where they go, and how one follows a message into a worker.

Spans are marked through the API of OpenTelemetry, here and wherever one begins; that does nothing until
`start_telemetry` has found the standard's variables set and the extra `telemetry` installed. Those variables
are read by OpenTelemetry's own code. Knows no study and no trial.
"""

import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import structlog
from opentelemetry import propagate, trace
from sqlalchemy import Engine, event
from sqlalchemy.engine import Connection, ExceptionContext

from service.runtime.logs import write_json

log = structlog.get_logger(__name__)
tracer = trace.get_tracer("paretune")

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
PROTOCOL = "http/protobuf"
PROBES = frozenset({"/healthz", "/readyz", "/metrics"})
"""Requested every few seconds; their traces would bury the others."""

OPEN_STATEMENTS = "open_statement_spans"
FLUSH_SECONDS = 3.0
"""How long a process that ends waits for a collector that does not answer."""

_flushes: list[Callable[[], None]] = []


def start_telemetry(service_name: str) -> None:
    """Send this process's spans from now on, if the environment says where to.

    The name is used where the environment gives none. The log says once why no spans can be sent.
    """
    if not _is_wanted() or not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return
    protocol = _first_of(PROTOCOLS)
    if protocol not in (None, PROTOCOL):
        log.warning("no traces: spans are sent by http/protobuf only", protocol=protocol)
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        log.warning(
            "no traces: install them with pip install 'paretune[telemetry]', or unset the variable",
            variable=next(name for name in ENDPOINTS if os.environ.get(name)),
            missing=error.name,
        )
        return
    # Its warnings go into the same stream of JSON lines as ours.
    logger = logging.getLogger("opentelemetry")
    logger.addHandler(logging.StreamHandler(sys.stdout))
    logger.propagate = False
    write_json(logger)
    resource = Resource.create()
    if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: service_name}))
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    _flushes.append(provider.shutdown)
    trace_statements()
    log.info("traces are sent", service=resource.attributes[SERVICE_NAME])


def stop_telemetry() -> None:
    """Send the remaining spans within `FLUSH_SECONDS`; exit handlers do not run in a child of the pool."""
    while _flushes:
        flush = threading.Thread(target=_flushes.pop(), name="last traces", daemon=True)
        flush.start()
        flush.join(FLUSH_SECONDS)


def is_probe(scope: Mapping[str, Any]) -> bool:
    """Return whether a request only asks how the process is."""
    return scope.get("path") in PROBES


@contextmanager
def sending(task: str) -> Iterator[dict[str, str]]:
    """Yield the headers of a message that carry the trace; none outside of a trace."""
    headers: dict[str, str] = {}
    if not _in_a_trace():
        yield headers
        return
    attributes = {"messaging.system": "celery", "messaging.operation.name": "send"}
    with tracer.start_as_current_span(f"send {task}", kind=trace.SpanKind.PRODUCER, attributes=attributes):
        propagate.inject(headers)
        yield headers


@contextmanager
def received(task: str, message: Any, *, new_trace: bool = False, **attributes: str) -> Iterator[None]:
    """Continue the trace that a message carries, or begin a new one with a link to it.

    `message` is what Celery knows of it: the headers are its attributes.
    """
    fields = propagate.get_global_textmap().fields
    carrier = {name: value for name in fields if (value := getattr(message, name, None)) is not None}
    context = propagate.extract(carrier)
    links = []
    if new_trace:
        links = [trace.Link(trace.get_current_span(context).get_span_context())]
        context = trace.set_span_in_context(trace.INVALID_SPAN)
    with tracer.start_as_current_span(
        f"run {task}",
        context=context,
        kind=trace.SpanKind.CONSUMER,
        attributes={"messaging.system": "celery", "messaging.operation.name": "run", **attributes},
        links=links,
    ):
        yield


@contextmanager
def transaction_span() -> Iterator[trace.Span]:
    """Time a transaction of a trace. Its span is not made current: it may end in another thread."""
    span = tracer.start_span("transaction") if _in_a_trace() else trace.INVALID_SPAN
    try:
        yield span
    except BaseException as error:
        span.set_status(trace.StatusCode.ERROR, type(error).__name__)
        raise
    finally:
        span.end()


def trace_statements() -> None:
    """Make every SQL statement within a trace a span, with its text and without its parameters."""
    event.listen(Engine, "before_cursor_execute", _statement_begins)
    event.listen(Engine, "after_cursor_execute", _statement_ends)
    event.listen(Engine, "handle_error", _statement_fails)


def _statement_begins(connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
    span: trace.Span = trace.INVALID_SPAN
    if _in_a_trace():
        name = statement.split(None, 1)[0].upper()
        attributes = {"db.system.name": "postgresql", "db.query.text": statement}
        span = tracer.start_span(name, kind=trace.SpanKind.CLIENT, attributes=attributes)
    connection.info.setdefault(OPEN_STATEMENTS, []).append(span)


def _statement_ends(connection: Connection, *_: Any) -> None:
    connection.info[OPEN_STATEMENTS].pop().end()


def _statement_fails(failure: ExceptionContext) -> None:
    open_spans = failure.connection.info.get(OPEN_STATEMENTS) if failure.connection else None
    if open_spans:
        span = open_spans.pop()
        span.set_status(trace.StatusCode.ERROR, type(failure.original_exception).__name__)
        span.end()


def _in_a_trace() -> bool:
    return trace.get_current_span().get_span_context().is_valid


def _is_wanted() -> bool:
    disabled = os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    exporter = os.environ.get("OTEL_TRACES_EXPORTER") or "otlp"
    return _first_of(ENDPOINTS) is not None and exporter.strip().lower() != "none" and not disabled


def _first_of(names: tuple[str, ...]) -> str | None:
    return next((found for name in names if (found := os.environ.get(name))), None)
