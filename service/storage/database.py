"""The engine, and the one way to open a transaction."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from opentelemetry import trace
from pydantic_core import from_json
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from service.runtime.broker import send_wake_ups
from service.runtime.telemetry import transaction_span
from service.settings import settings
from service.storage.connections import engine_on


@cache
def engine() -> Engine:
    """Connect lazily. The pool covers the API's thread pool, so that no request waits for a connection."""
    return engine_on(
        settings().database_url.get_secret_value(),
        pool_size=10,
        max_overflow=30,
        pool_pre_ping=True,
        # The standard library's parser takes most of the time of a read with many rows.
        json_deserializer=from_json,
    )


@cache
def engine_of_single_reads() -> Engine:
    """Connect once, for single statements that need no transaction: one round trip instead of several.

    A connection that has died is noticed by its first statement, which fails with `OperationalError`.
    """
    return engine_on(
        settings().database_url.get_secret_value(),
        pool_size=1,
        max_overflow=0,
        isolation_level="AUTOCOMMIT",
    )


@contextmanager
def transaction() -> Iterator[Session]:
    """Commit once at the end, then send the wake-ups; roll back and send none on an exception."""
    with transaction_span() as span, Session(engine(), expire_on_commit=False) as session:
        with session.begin():
            yield session
        with trace.use_span(span):
            send_wake_ups(session.info.pop("wake_ups", []))


def is_away(error: OperationalError) -> bool:
    """Return whether there was no connection, or it was lost; else the server refused a statement."""
    return error.connection_invalidated or getattr(error.orig, "sqlstate", None) is None
