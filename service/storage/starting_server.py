"""Wait for a database server that is still starting, as after a boot. Knows neither password nor database."""

import time
from collections.abc import Callable

import psycopg
from psycopg import pq
from psycopg.conninfo import make_conninfo
from sqlalchemy import make_url

from service.storage.connections import connect_arguments

PATIENCE_SECONDS = 60.0
PAUSE_SECONDS = 1.0

NOT_YET = frozenset({pq.Ping.REJECT, pq.Ping.NO_RESPONSE})
"""It starts, stops or recovers; or nothing answers at its address."""


def wait_for_server(url: str, *, say: Callable[[str], None]) -> None:
    """Return once a server answers, be it with a refusal, or once it has been waited for long enough."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    is_said = False
    while not answers(url) and time.monotonic() < give_up:
        if not is_said:
            place = make_url(url)
            say(
                f"No database answers at {place.host}:{place.port or 5432} yet. Waiting for it for "
                f"{PATIENCE_SECONDS:g} s."
            )
            is_said = True
        time.sleep(PAUSE_SECONDS)


def answers(url: str) -> bool:
    """Return whether a server that is ready answers, whomever it lets in; or only connecting can tell."""
    # As it is written: what SQLAlchemy would render has spaces of a password, which libpq does not take.
    _, _, place = url.partition("://")
    try:
        address = make_conninfo(f"postgresql://{place}", **connect_arguments(url))
    except psycopg.ProgrammingError:
        return True
    return pq.PGconn.ping(address.encode()) not in NOT_YET
