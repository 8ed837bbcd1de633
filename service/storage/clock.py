"""The database's clock, by which leases and turns of all processes end."""

from datetime import datetime

from sqlalchemy import ColumnElement, func


def from_now(seconds: ColumnElement[float] | float) -> ColumnElement[datetime]:
    """Return the moment so many seconds after the query is run, or before it if they are negative."""
    return func.clock_timestamp() + func.make_interval(0, 0, 0, 0, 0, 0, seconds)
