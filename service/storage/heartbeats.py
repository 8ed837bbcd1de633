"""When the reaper last did its work, by the database's clock."""

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from service.storage.models import Heartbeat

SWEEPER = "sweeper"


def beat(session: Session) -> None:
    """Record that a sweep has been done, in its transaction."""
    row = insert(Heartbeat).values(name=SWEEPER, beaten_at=func.clock_timestamp())
    session.execute(
        row.on_conflict_do_update(index_elements=[Heartbeat.name], set_={"beaten_at": row.excluded.beaten_at})
    )


def seconds_since_sweep(session: Session) -> float | None:
    """Return how long ago the last sweep was; None if there has been none."""
    age = func.extract("epoch", func.clock_timestamp() - Heartbeat.beaten_at)
    seconds = session.scalar(select(age).where(Heartbeat.name == SWEEPER))
    return None if seconds is None else float(seconds)
