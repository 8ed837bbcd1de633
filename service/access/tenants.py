"""Tenants: who they are, and what limits of their own they have."""

from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.orm import Session

from api_schemas.access import AuditEventType, KeyScope
from service.access.keys import add_key, key_hash, revoke_key
from service.errors import NotFound
from service.storage.audit_log import record_audit_event
from service.storage.ids import new_id
from service.storage.models import ApiKey, Tenant

DEFAULT_TENANT = "default"
LIMITS = ("active_studies", "running_trials", "artifact_bytes")


SHORTEST_KEY = 32


def weakness(key: str) -> str | None:
    """Return a sentence that says why a given secret cannot be an admin key; None if it can."""
    if len(key) < SHORTEST_KEY:
        fault = f"has {len(key)} characters, and fewer than {SHORTEST_KEY} can be guessed"
    elif not key.isascii() or not key.isprintable() or " " in key:
        fault = "holds spaces or other characters that a header cannot carry"
    elif len(set(key)) < SHORTEST_KEY // 4:
        fault = "repeats a few characters, and can be guessed"
    else:
        return None
    return f"PARETUNE_API_KEY {fault}. Make one with `openssl rand -hex 32`."


def register_key(session: Session, key: str, *, tenant_name: str = DEFAULT_TENANT) -> ApiKey:
    """Make a given secret the tenant's first admin key, creating either if need be; revoke the one before.

    A key that was revoked or has a smaller scope stays as it is, and nothing else changes.
    """
    tenant = find_tenant(session, tenant_name) or add_tenant(session, tenant_name)
    # Of two that register keys at once, the second sees what the first has done.
    session.execute(select(Tenant.id).where(Tenant.id == tenant.id).with_for_update())
    given = session.scalar(select(ApiKey).where(ApiKey.sha256 == key_hash(key)))
    if given is None:
        given = add_key(session, key, tenant_id=tenant.id, name="first key", scope=KeyScope.ADMIN)
    if given.revoked_at is None and (given.tenant_id, given.scope) == (tenant.id, KeyScope.ADMIN):
        given.is_first = True
        others = select(ApiKey.id).where(
            ApiKey.tenant_id == tenant.id, ApiKey.id != given.id, ApiKey.is_first, ApiKey.revoked_at.is_(None)
        )
        for key_id in session.scalars(others).all():
            revoke_key(session, key_id, tenant_id=tenant.id)
    return given


def find_tenant(session: Session, name: str) -> Tenant | None:
    """Look a tenant up."""
    return session.scalar(select(Tenant).where(Tenant.name == name))


def get_tenant(session: Session, name: str) -> Tenant:
    """Look a tenant up that must be there.

    Raises:
        NotFound: If there is none.
    """
    tenant = find_tenant(session, name)
    if tenant is None:
        raise NotFound(f"There is no tenant '{name}'. `paretune tenants list` lists them.")
    return tenant


def list_tenants(session: Session) -> list[Tenant]:
    """Read all tenants, by name."""
    return list(session.scalars(select(Tenant).order_by(Tenant.name)))


def add_tenant(session: Session, name: str) -> Tenant:
    """Make a tenant with the limits of the settings."""
    tenant = Tenant(id=new_id("tnt"), name=name)
    session.add(tenant)
    session.flush()
    return tenant


def set_limits(session: Session, tenant: Tenant, limits: Mapping[str, int | None]) -> None:
    """Change some of a tenant's `LIMITS`; None makes it the setting's again."""
    changed = {name: limit for name, limit in limits.items() if getattr(tenant, name) != limit}
    for name, limit in changed.items():
        setattr(tenant, name, limit)
    if changed:
        record_audit_event(session, tenant.id, AuditEventType.LIMITS_CHANGED, subject=tenant.id, **changed)
