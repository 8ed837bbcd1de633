"""What an endpoint asks for: a session that commits before the answer, and the caller's tenant."""

import hashlib
from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy import BindParameter, ColumnElement, select
from sqlalchemy.orm import Session

from service.database import transaction
from service.errors import Unauthorized
from service.models import ApiKey

bearer = HTTPBearer(auto_error=False, description="An API key; `paretune up` makes one and prints it.")


def open_session(request: Request) -> Iterator[Session]:
    """Open the request's one transaction; what reads sees one moment, so that its parts agree."""
    with transaction() as session:
        if request.method == "GET":
            session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        yield session


# The scope makes the commit come before the answer: a client never reads 201 for rows that do not exist.
SessionDep = Annotated[Session, Depends(open_session, scope="function")]


def authenticate(
    session: SessionDep, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]
) -> str:
    """Give the tenant of the key.

    Raises:
        Unauthorized: If the key is missing or unknown.
    """
    if credentials is None:
        raise Unauthorized("Send your API key as 'Authorization: Bearer KEY'.")
    tenant_id = session.scalar(select(ApiKey.tenant_id).where(is_key(key_hash(credentials.credentials))))
    if tenant_id is None:
        raise Unauthorized("This API key is not known here. Check PARETUNE_API_KEY.")
    return tenant_id


def is_key(sha256: str | BindParameter[str]) -> ColumnElement[bool]:
    """Give the condition under which a row of `api_keys` lets in whoever has the key with this hash."""
    return ApiKey.sha256 == sha256


def key_hash(key: str) -> str:
    """Hash an API key. Keys are long and random, so one round of SHA-256 is enough."""
    return hashlib.sha256(key.encode()).hexdigest()


TenantDep = Annotated[str, Depends(authenticate, scope="function")]


def tenant_alone(session: SessionDep, tenant_id: TenantDep) -> str:
    """Give the tenant, and the database connection back: what follows may take long."""
    session.commit()
    return tenant_id


TenantAloneDep = Annotated[str, Depends(tenant_alone, scope="function")]
