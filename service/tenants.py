"""Tenants: who they are, and what limits of their own they have."""

from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.orm import Session

from api_schemas.access import AuditEventType, KeyScope
from service.access.audit_log import record_audit_event
from service.access.keys import add_key, key_hash
from service.errors import NotFound
from service.ids import new_id
from service.models import ApiKey, Tenant

DEFAULT_TENANT = "default"
LIMITS = ("active_studies", "running_trials", "artifact_bytes")


def register_key(session: Session, key: str, *, tenant_name: str = DEFAULT_TENANT) -> str:
    """Make a given secret an admin key of the tenant, creating either if need be; give the tenant's id."""
    tenant = find_tenant(session, tenant_name) or add_tenant(session, tenant_name)
    if session.scalar(select(ApiKey).where(ApiKey.sha256 == key_hash(key))) is None:
        add_key(session, key, tenant_id=tenant.id, name="first key", scope=KeyScope.ADMIN)
    return tenant.id


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
