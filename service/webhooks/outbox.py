"""Deliveries that are due, and their outcomes. Each function is one short transaction; none sends anything.

A claim postpones the next attempt, so that another sender tries again if this one dies: every event arrives
at least once. A claim that another attempt or a replay has overtaken settles nothing.
"""

import random
from collections.abc import Set
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.orm import Session

from api_schemas.events import EventRead
from service.storage.database import transaction
from service.storage.models import Event
from service.storage.webhook_models import Delivery, Webhook

PAUSES = tuple(
    timedelta(seconds=seconds) for seconds in (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
)
"""From each failure to the next attempt: the schedule of the Standard Webhooks specification."""
JITTER = 0.1
BATCH = 8
CLAIMED_FOR = timedelta(seconds=180)
"""Longer than a batch can take."""


@dataclass(frozen=True)
class Claim:
    """A delivery that this process is to attempt now, for the `attempts`-th time."""

    webhook_id: str
    url: str
    secret: str
    attempts: int
    event: EventRead


def claim(*, busy: Set[str], most_webhooks: int) -> list[list[Claim]]:
    """Take what is due, a batch for each webhook that is not busy; oldest events first."""
    with transaction() as session:
        due = _is_due() & (Delivery.webhook_id == Webhook.id)
        webhooks = session.scalars(
            select(Webhook)
            .where(Webhook.disabled_at.is_(None), Webhook.id.not_in(busy), select(1).where(due).exists())
            # So that failing receivers do not delay those of other tenants.
            .order_by(func.random())
            .limit(most_webhooks)
        )
        return [batch for webhook in webhooks.all() if (batch := _claim_batch(session, webhook))]


def settle_accepted(claimed: Claim) -> None:
    """Forget a delivery that has arrived."""
    with transaction() as session:
        session.execute(delete(Delivery).where(*_still(claimed)))
        session.execute(
            update(Webhook)
            .where(Webhook.id == claimed.webhook_id, Webhook.last_error.is_not(None))
            .values(last_error=None)
        )


def settle_refused(claimed: Claim, *, reason: str, gone: bool = False) -> None:
    """Plan the next attempt, or give up after the last; a receiver that is gone disables its webhook.

    A delivery that was given up is kept for a replay, unless its study is deleted.
    """
    planned = _next(claimed)
    with transaction() as session:
        session.execute(update(Delivery).where(*_still(claimed)).values(next_attempt_at=planned))
        if planned is None:
            session.execute(delete(Delivery).where(*_still(claimed), Delivery.event.is_not(None)))
        changes = {"last_error": reason, **({"disabled_at": func.clock_timestamp()} if gone else {})}
        session.execute(update(Webhook).where(Webhook.id == claimed.webhook_id).values(changes))


def _claim_batch(session: Session, webhook: Webhook) -> list[Claim]:
    query = (
        select(Delivery, Event)
        .outerjoin(Event, (Event.study_id == Delivery.study_id) & (Event.sequence == Delivery.sequence))
        .where(Delivery.webhook_id == webhook.id, _is_due())
        .order_by(Delivery.study_id, Delivery.sequence)
        .limit(BATCH)
        .with_for_update(of=Delivery, skip_locked=True)
    )
    claims = []
    for delivery, event in session.execute(query).all():
        delivery.attempts += 1
        delivery.next_attempt_at = func.clock_timestamp() + CLAIMED_FOR
        # Prefer the copy: the study may have been deleted between the reads of the two rows.
        shown = EventRead.model_validate(event if delivery.event is None else delivery.event)
        claims.append(Claim(webhook.id, webhook.url, webhook.secret, delivery.attempts, shown))
    return claims


def _is_due() -> ColumnElement[bool]:
    return Delivery.next_attempt_at <= func.clock_timestamp()


def _still(claimed: Claim) -> tuple[ColumnElement[bool], ...]:
    return (
        Delivery.study_id == claimed.event.study_id,
        Delivery.sequence == claimed.event.sequence,
        Delivery.webhook_id == claimed.webhook_id,
        Delivery.attempts == claimed.attempts,
    )


def _next(claimed: Claim) -> ColumnElement[object] | None:
    if claimed.attempts > len(PAUSES):
        return None
    # So that receivers that failed together are not all tried again at once.
    return func.clock_timestamp() + PAUSES[claimed.attempts - 1] * random.uniform(1, 1 + JITTER)  # noqa: S311
