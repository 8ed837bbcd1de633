"""How long the answer to an Idempotency-Key is kept. What a key means for a request, `api.protocol` knows."""

from datetime import timedelta

from sqlalchemy import delete, func
from sqlalchemy.orm import Session

from service.storage.models import IdempotencyKey

KEPT_FOR = timedelta(hours=24)


def forget_old_keys(session: Session) -> None:
    """Delete the answers that are no longer promised."""
    session.execute(
        delete(IdempotencyKey).where(IdempotencyKey.created_at < func.clock_timestamp() - KEPT_FOR)
    )
