"""How long the answer to an Idempotency-Key is kept. What a key means is in `api.protocol.idempotency`."""

from datetime import timedelta

from sqlalchemy import delete, func
from sqlalchemy.orm import Session

from service.storage.models import IdempotencyKey

KEPT_FOR = timedelta(hours=24)


def forget_old_keys(session: Session) -> None:
    """Delete the answers that need not be kept any more."""
    session.execute(
        delete(IdempotencyKey).where(IdempotencyKey.created_at < func.clock_timestamp() - KEPT_FOR)
    )
