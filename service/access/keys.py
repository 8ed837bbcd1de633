"""API keys: make, find, list, revoke. Only their hashes are kept.

Keys are long and random, so one round of SHA-256 is enough: there is nothing to guess.
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import Session

from api_schemas.access import AuditEventType, KeyScope
from service.errors import NotFound
from service.errors.conflicts import LastAdminKey
from service.storage.audit_log import record_audit_event
from service.storage.ids import new_id
from service.storage.models import ApiKey, Tenant

PREFIX = "ptk_"
SECRET_BYTES = 32


@dataclass(frozen=True)
class Caller:
    """Whose key it is, and what it may do."""

    tenant_id: str
    key_id: str
    scope: KeyScope


def key_hash(secret: str) -> str:
    """Return what is kept of a key."""
    return hashlib.sha256(secret.encode()).hexdigest()


def create_key(
    session: Session, *, tenant_id: str, name: str, scope: KeyScope, expires_at: datetime | None = None
) -> tuple[ApiKey, str]:
    """Make a key. Return its row and its secret, which cannot be read again."""
    secret = PREFIX + secrets.token_urlsafe(SECRET_BYTES)
    return add_key(
        session, secret, tenant_id=tenant_id, name=name, scope=scope, expires_at=expires_at
    ), secret


def add_key(
    session: Session,
    secret: str,
    *,
    tenant_id: str,
    name: str,
    scope: KeyScope,
    expires_at: datetime | None = None,
) -> ApiKey:
    """Make a given secret a key of the tenant."""
    key = ApiKey(
        id=new_id("key"),
        tenant_id=tenant_id,
        sha256=key_hash(secret),
        name=name,
        scope=scope,
        expires_at=expires_at,
    )
    session.add(key)
    session.flush()
    record_audit_event(
        session, tenant_id, AuditEventType.KEY_CREATED, subject=key.id, name=name, scope=scope.value
    )
    return key


def identity() -> tuple[ColumnElement[Any], ...]:
    """Return the columns that `caller_of` reads; the database's clock decides whether a key has expired."""
    expired = (ApiKey.expires_at <= func.clock_timestamp()).label("expired")
    return (
        ApiKey.tenant_id.label("tenant_id"),
        ApiKey.id.label("key_id"),
        ApiKey.scope.label("scope"),
        ApiKey.revoked_at.label("revoked_at"),
        ApiKey.expires_at.label("expires_at"),
        expired,
    )


def caller_of(row: Any) -> Caller | str:
    """Return the caller of a row of `identity`, or a sentence that says why the key is no longer valid."""
    if row.revoked_at is not None:
        return f"This API key was revoked at {_minute(row.revoked_at)}. Ask an admin for another."
    if row.expired:
        return f"This API key expired at {_minute(row.expires_at)}. Ask an admin for another."
    return Caller(tenant_id=row.tenant_id, key_id=row.key_id, scope=KeyScope(row.scope))


def get_key(session: Session, key_id: str) -> ApiKey:
    """Read the key of a caller, which is there for as long as its request is served."""
    return session.get_one(ApiKey, key_id)


def list_keys(session: Session, *, tenant_id: str, page_size: int, before: str | None) -> list[ApiKey]:
    """Read a tenant's keys, newest first, older than `before`."""
    query = select(ApiKey).where(ApiKey.tenant_id == tenant_id).order_by(ApiKey.id.desc()).limit(page_size)
    return list(session.scalars(query if before is None else query.where(ApiKey.id < before)))


def revoke_key(session: Session, key_id: str, *, tenant_id: str | None) -> ApiKey:
    """End a key at once; revoking it again changes nothing. Without a tenant, of whichever it is.

    Raises:
        NotFound: If there is none, or it belongs to another tenant.
        LastAdminKey: If the tenant has no other admin key that lasts.
    """
    query = select(ApiKey).where(ApiKey.id == key_id).with_for_update()
    key = session.scalar(query if tenant_id is None else query.where(ApiKey.tenant_id == tenant_id))
    if key is None:
        raise NotFound(f"There is no key '{key_id}'. GET /v1/keys lists yours.")
    if key.revoked_at is None:
        _check_another_admin(session, key)
        key.revoked_at = func.clock_timestamp()
        session.flush()
        session.refresh(key)
        record_audit_event(session, key.tenant_id, AuditEventType.KEY_REVOKED, subject=key.id, name=key.name)
    return key


def _check_another_admin(session: Session, key: ApiKey) -> None:
    """Refuse to revoke the last admin key of a tenant; likewise the last one that never expires."""
    if key.scope is not KeyScope.ADMIN:
        return
    # So that two keys revoked at once do not each count the other as the one that is left.
    session.execute(select(Tenant.id).where(Tenant.id == key.tenant_id).with_for_update())
    alive: ColumnElement[bool] = ApiKey.expires_at.is_(None)
    if key.expires_at is not None:
        alive = or_(alive, ApiKey.expires_at > func.clock_timestamp())
    able = and_(ApiKey.revoked_at.is_(None), ApiKey.scope == KeyScope.ADMIN, alive)
    others = select(ApiKey.id).where(ApiKey.tenant_id == key.tenant_id, ApiKey.id != key.id, able)
    if session.scalar(others.limit(1)) is None:
        raise LastAdminKey(
            f"Without key '{key.id}' nobody of its tenant could make another. Make an admin key first, "
            "one that does not expire."
        )


def _minute(moment: datetime) -> str:
    return moment.isoformat(timespec="minutes")
