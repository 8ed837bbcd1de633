"""How the processes of the server write their logs: one JSON object a line, from every logger.

Tracebacks show no local variables, which may hold connection URLs with passwords. If the disk of the log is
full, lines are lost and the work goes on.
"""

import logging
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import structlog
from opentelemetry import trace
from structlog.types import EventDict, Processor, WrappedLogger

from service.runtime import request_context

_printing = threading.Lock()
_listeners: list[Callable[[Mapping[str, Any]], None]] = []


class Lines:
    """Prints a line at a time. A line that cannot be written is lost; the work goes on."""

    def __init__(self, *_: object) -> None:
        self._output = sys.stdout

    def msg(self, message: str) -> None:
        """Print a line, unless the disk is full or the reader of the pipe is gone."""
        with _printing, suppress(OSError):
            self._output.write(f"{message}\n")
            self._output.flush()

    log = debug = info = warn = warning = error = critical = exception = fatal = failure = msg


def configure_logs() -> None:
    """Set up structlog for this process, and the loggers that are there already."""
    structlog.configure(processors=[*_common(), *_rendering(_hand_on)], logger_factory=Lines)
    for name in ("uvicorn", "uvicorn.access"):
        write_json(logging.getLogger(name))


def write_json(logger: logging.Logger, **_: object) -> None:
    """Make a logger of the standard library write JSON lines; its level and its handlers stay."""
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_common(),
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_rendering()],
    )
    for handler in logger.handlers:
        handler.setFormatter(formatter)


@contextmanager
def listening(listener: Callable[[Mapping[str, Any]], None]) -> Iterator[None]:
    """Hand what this process says through structlog to a listener, too, before it is written as JSON."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def _common() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        _name_the_request,
        _name_the_trace,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def _rendering(*between: Processor) -> list[Processor]:
    return [structlog.processors.format_exc_info, *between, structlog.processors.JSONRenderer()]


def _hand_on(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    for listener in _listeners:
        listener(event)
    return event


def _name_the_request(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    context = request_context.current()
    if context is not None:
        event["request_id"] = context.request_id
        if context.key_id is not None:
            event["key_id"] = context.key_id
    return event


def _name_the_trace(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    context = trace.get_current_span().get_span_context()
    if context.trace_flags.sampled:
        event["trace_id"] = trace.format_trace_id(context.trace_id)
        event["span_id"] = trace.format_span_id(context.span_id)
    return event
