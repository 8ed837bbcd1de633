"""When keys were last used. Requests only remember; the sweeper's thread writes.

So no read waits for a write. A process that is killed forgets the uses since its last sweep.
"""

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from service.storage.clock import from_now
from service.storage.models import ApiKey

WRITE_SECONDS = 60

_used: set[str] = set()


def note_use(key_id: str) -> None:
    """Remember that a key was used."""
    _used.add(key_id)


def write_uses(session: Session) -> None:
    """Write what was remembered, at most once a minute for each key."""
    if not _used:
        return
    used = list(_used)
    _used.difference_update(used)
    is_due = or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at < from_now(-WRITE_SECONDS))
    due = (
        select(ApiKey.id)
        .where(ApiKey.id.in_(used), is_due)
        # Another process may be writing the same keys, in another order.
        .with_for_update(skip_locked=True)
    )
    session.execute(
        update(ApiKey)
        .where(ApiKey.id.in_(due))
        .values(last_used_at=func.clock_timestamp())
        .execution_options(synchronize_session=False)
    )
