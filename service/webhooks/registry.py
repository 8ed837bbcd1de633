"""The webhooks of a tenant and what has not arrived: make, list, delete, replay. Sends nothing."""

from collections.abc import Sequence

from sqlalchemy import Select, func, literal, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from api_schemas.access import AuditEventType
from api_schemas.events import EventRead
from api_schemas.webhooks import DeliveryRead, WebhookCreate, WebhookRead, WebhookReplay
from service.errors import InvalidWebhook, LimitReached, NotFound
from service.storage.audit_log import record_audit_event
from service.storage.ids import new_id
from service.storage.models import Event, Study, Tenant
from service.storage.webhook_models import Delivery, Webhook
from service.webhooks.signatures import new_secret

MOST_WEBHOOKS = 20
"""Of one tenant: each of its events is a row for each of them."""


def create_webhook(session: Session, request: WebhookCreate, *, tenant_id: str) -> Webhook:
    """Make a webhook, whose URL has been checked. It gets the events that are written from now on.

    Raises:
        LimitReached: If the tenant has as many as it may.
    """
    session.execute(select(Tenant.id).where(Tenant.id == tenant_id).with_for_update(key_share=True))
    count = session.scalars(select(func.count()).where(Webhook.tenant_id == tenant_id)).one()
    if count >= MOST_WEBHOOKS:
        raise LimitReached(f"A tenant may have {MOST_WEBHOOKS} webhooks. Delete one first.")
    webhook = Webhook(
        id=new_id("whk"),
        tenant_id=tenant_id,
        url=request.url,
        event_types=[type_.value for type_ in request.event_types],
        secret=new_secret(),
    )
    session.add(webhook)
    session.flush()
    record_audit_event(
        session, tenant_id, AuditEventType.WEBHOOK_CREATED, subject=webhook.id, url=webhook.url
    )
    return webhook


def get_webhook(session: Session, webhook_id: str, *, tenant_id: str) -> Webhook:
    """Read a webhook of the tenant.

    Raises:
        NotFound: If there is none, or it belongs to another tenant.
    """
    return _one(session, _of(tenant_id).where(Webhook.id == webhook_id), webhook_id)


def list_webhooks(session: Session, *, tenant_id: str, page_size: int, before: str | None) -> list[Webhook]:
    """Read a tenant's webhooks, newest first, older than `before`."""
    query = _of(tenant_id).order_by(Webhook.id.desc()).limit(page_size)
    return list(session.scalars(query if before is None else query.where(Webhook.id < before)))


def list_deliveries(
    session: Session, webhook: Webhook, *, page_size: int, before: tuple[str, int] | None
) -> tuple[DeliveryRead, ...]:
    """Read what a webhook has not got, newest study and event first, before a study's event of a number."""
    place = tuple_(Delivery.study_id, Delivery.sequence)
    query = (
        select(Delivery, Event)
        .outerjoin(Event, (Event.study_id == Delivery.study_id) & (Event.sequence == Delivery.sequence))
        .where(Delivery.webhook_id == webhook.id)
        .order_by(Delivery.study_id.desc(), Delivery.sequence.desc())
        .limit(page_size)
    )
    if before is not None:
        query = query.where(place < before)
    return tuple(_delivery(delivery, event) for delivery, event in session.execute(query).all())


def delete_webhook(session: Session, webhook_id: str, *, tenant_id: str) -> None:
    """Delete a webhook with what waits for it.

    Raises:
        NotFound: If there is none, or it belongs to another tenant.
    """
    query = _of(tenant_id).where(Webhook.id == webhook_id).with_for_update()
    webhook = _one(session, query, webhook_id)
    session.delete(webhook)
    record_audit_event(
        session, tenant_id, AuditEventType.WEBHOOK_DELETED, subject=webhook.id, url=webhook.url
    )


def replay(session: Session, webhook_id: str, request: WebhookReplay, *, tenant_id: str) -> int:
    """Send events of a study again, from the first attempt on. Return how many.

    Raises:
        NotFound: If there is no such webhook.
        InvalidWebhook: If there is no such study, or the webhook is disabled.
    """
    # Held until the commit: neither the webhook nor the study is deleted under the rows that name them.
    query = _of(tenant_id).where(Webhook.id == webhook_id).with_for_update(read=True, key_share=True)
    webhook = _one(session, query, webhook_id)
    if webhook.disabled_at is not None:
        raise InvalidWebhook("This webhook is disabled, for its receiver is gone. Make another.")
    known = select(Study.id).where(Study.id == request.study_id, Study.tenant_id == tenant_id)
    if session.scalar(known.with_for_update(read=True, key_share=True)) is None:
        raise InvalidWebhook(f"There is no study '{request.study_id}'.", pointer="/study_id")
    # Bounded memory: the rows never leave the database.
    chosen = select(Event.study_id, Event.sequence, literal(webhook.id), func.clock_timestamp()).where(
        Event.study_id == request.study_id, Event.sequence > request.after_sequence
    )
    if webhook.event_types:
        chosen = chosen.where(Event.type.in_(webhook.event_types))
    chosen = chosen.order_by(Event.sequence)
    columns = ["study_id", "sequence", "webhook_id", "next_attempt_at"]
    rows = insert(Delivery).from_select(columns, chosen)
    again = {"attempts": 0, "next_attempt_at": rows.excluded.next_attempt_at}
    done = session.execute(
        rows.on_conflict_do_update(
            index_elements=["study_id", "sequence", "webhook_id"], set_=again
        ).returning(Delivery.sequence)
    )
    return len(done.all())


def webhook_reads(session: Session, webhooks: Sequence[Webhook]) -> tuple[WebhookRead, ...]:
    """Return webhooks with the number of their waiting and given-up deliveries."""
    rows = session.execute(
        select(
            Delivery.webhook_id,
            func.count(Delivery.next_attempt_at),
            func.count().filter(Delivery.next_attempt_at.is_(None)),
        )
        .where(Delivery.webhook_id.in_([webhook.id for webhook in webhooks]))
        .group_by(Delivery.webhook_id)
    )
    counts = {
        webhook_id: {"waiting": waiting, "given_up": given_up} for webhook_id, waiting, given_up in rows
    }
    nothing = {"waiting": 0, "given_up": 0}
    return tuple(WebhookRead.copied_from(webhook, **counts.get(webhook.id, nothing)) for webhook in webhooks)


def _delivery(delivery: Delivery, event: Event | None) -> DeliveryRead:
    sent = EventRead.model_validate(event if delivery.event is None else delivery.event)
    return DeliveryRead.copied_from(delivery, type=sent.type, recorded_at=sent.recorded_at)


def _of(tenant_id: str) -> Select[Webhook]:
    return select(Webhook).where(Webhook.tenant_id == tenant_id)


def _one(session: Session, query: Select[Webhook], webhook_id: str) -> Webhook:
    webhook = session.scalar(query)
    if webhook is None:
        raise NotFound(f"There is no webhook '{webhook_id}'. GET /v1/webhooks lists yours.")
    return webhook
