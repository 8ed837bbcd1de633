"""How every connection to Postgres notices that its other end is gone. Knows no table.

What nobody answers is given up within a minute, on both sides. Otherwise a host that vanishes in the middle
of a transaction would keep the lock of a study for the two hours of the kernel's keepalive, and a client
whose database vanishes would wait for a quarter of an hour for its answer. No `lock_timeout`: waits for a
study are part of the work, and whoever holds it is bounded by the limits here.
"""

from typing import Any

from psycopg import Connection
from psycopg.errors import IdleInTransactionSessionTimeout
from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import ExceptionContext
from sqlalchemy.exc import OperationalError

OF_THE_CLIENT = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 4,
    "tcp_user_timeout": 30_000,
}
"""Parameters of libpq. A statement may take as long as it wants: the kernel of a host that lives answers."""

OF_THE_SERVER = {
    # No transaction of ours does slow work: proposals, downloads, uploads and dumps are made outside of one.
    "idle_in_transaction_session_timeout": "60s",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "4",
    "tcp_user_timeout": "30s",
}
"""Settings of each session. A pooler refuses parameters of the start that it does not know, so they are set
once the connection stands."""

SET_WHAT_NOBODY_HAS_SET = """
    SELECT set_config(name, given.value, false)
    FROM unnest(%(names)s::text[], %(values)s::text[]) AS given (name, value) JOIN pg_settings USING (name)
    WHERE source = 'default'
"""
"""Options of DATABASE_URL, of the role, of the database and of postgresql.conf count more than ours."""


def connect_arguments(url: str) -> dict[str, Any]:
    """Return what libpq is given beside a URL; what the URL says itself counts more."""
    given = make_url(url).query
    return {name: value for name, value in OF_THE_CLIENT.items() if name not in given}


def engine_on(url: str, **options: Any) -> Engine:
    """Return an engine whose connections notice that their other end is gone."""
    engine = create_engine(url, connect_args=connect_arguments(url), **options)
    event.listen(engine, "connect", _limit_session)
    event.listen(engine, "handle_error", _tell_as_lost)
    return engine


def _limit_session(connection: Connection[Any], _record: object) -> None:
    given = {"names": list(OF_THE_SERVER), "values": list(OF_THE_SERVER.values())}
    # Outside of a transaction, whose end might take it back: one round trip.
    before, connection.autocommit = connection.autocommit, True
    connection.execute(SET_WHAT_NOBODY_HAS_SET, given)
    connection.autocommit = before


def _tell_as_lost(context: ExceptionContext) -> None:
    # Nothing was committed, so whoever repeats work after a lost connection repeats this, too.
    error = context.original_exception
    if isinstance(error, IdleInTransactionSessionTimeout):
        raise OperationalError(context.statement, None, error, connection_invalidated=True) from error
