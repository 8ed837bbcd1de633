"""Tenants and their API keys. Keys are kept as hashes only."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.dependencies import key_hash
from service.ids import new_id
from service.models import ApiKey, Tenant

DEFAULT_TENANT = "default"


def register_key(session: Session, key: str, *, tenant_name: str = DEFAULT_TENANT) -> str:
    """Make the key valid for the tenant, creating either if need be; give the tenant's id."""
    tenant = session.scalar(select(Tenant).where(Tenant.name == tenant_name))
    if tenant is None:
        tenant = Tenant(id=new_id("tnt"), name=tenant_name)
        session.add(tenant)
        session.flush()
    if session.scalar(select(ApiKey).where(ApiKey.sha256 == key_hash(key))) is None:
        session.add(ApiKey(id=new_id("key"), tenant_id=tenant.id, sha256=key_hash(key)))
    return tenant.id
