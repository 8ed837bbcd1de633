"""Do the same to many rows, each in a transaction of its own. Knows neither studies nor trials.

A row that cannot be changed is logged, and the next one has its turn; only a database that is away ends all.
"""

from collections.abc import Callable, Iterable
from typing import TypeVar

import structlog
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from service.storage.database import is_away, transaction

log = structlog.get_logger(__name__)

Row = TypeVar("Row")


def do_each(rows: Iterable[Row], action: Callable[[Session, Row], object]) -> None:
    """Act on each row in its own transaction. The edge of a worker: the error of one stops no other.

    Raises:
        OperationalError: If the database is away.
    """
    for row in rows:
        try:
            with transaction() as session:
                action(session, row)
        except OperationalError as error:
            if is_away(error):
                raise
            log.warning("one of many could not be changed; the next one goes on", row=str(row), exc_info=True)
        except Exception:
            log.exception("one of many could not be changed; the next one goes on", row=str(row))
