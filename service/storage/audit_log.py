"""The append-only log of who did what. Decides nothing."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from api_schemas.access import AuditEventType
from service.runtime import request_context
from service.storage.models import AuditEvent


def record_audit_event(
    session: Session, tenant_id: str, type_: AuditEventType, *, subject: str, **body: Any
) -> None:
    """Append an event, with the key and the id of the request that is being served, if one is."""
    context = request_context.current()
    session.add(
        AuditEvent(
            tenant_id=tenant_id,
            type=type_,
            subject=subject,
            key_id=context.key_id if context else None,
            request_id=context.request_id if context else None,
            body=body,
        )
    )


def list_audit_events(
    session: Session, *, tenant_id: str, page_size: int, before: int | None
) -> list[AuditEvent]:
    """Read a tenant's events, newest first, from before a sequence number."""
    query = (
        select(AuditEvent)
        .where(AuditEvent.tenant_id == tenant_id)
        .order_by(AuditEvent.sequence.desc())
        .limit(page_size)
    )
    return list(session.scalars(query if before is None else query.where(AuditEvent.sequence < before)))
