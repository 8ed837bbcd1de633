"""What an endpoint asks for: a session that commits before the answer, and the caller's tenant.

To ask for the tenant is to declare the scope that the route needs.
"""

import math
from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy.orm import Session

from api_schemas.access import KeyScope
from service import request_context
from service.access.key_uses import note_use
from service.access.keys import Caller, identify
from service.access.rate_limit import RateLimit
from service.database import transaction
from service.errors import MissingScope, NotFound, TooManyRequests, Unauthorized

READING = frozenset({"GET", "HEAD"})

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
    request: Request,
    session: SessionDep,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
) -> Caller:
    """Find out who calls.

    Raises:
        Unauthorized: If the key is missing, unknown, revoked or expired.
        TooManyRequests: If the key has used up its requests.
        NotFound: If the path holds a name that nothing can have.
    """
    if credentials is None:
        raise Unauthorized("Send your API key as 'Authorization: Bearer KEY'.")
    caller = identify(session, credentials.credentials)
    request_context.note_key(caller.key_id)
    _take_token(request.app.state.rate_limit, caller)
    note_use(caller.key_id)
    if any("\0" in str(value) for value in request.path_params.values()):
        # The database would refuse to look it up.
        raise NotFound("The path holds a NUL character, and nothing has such a name.")
    return caller


CallerDep = Annotated[Caller, Depends(authenticate, scope="function")]


async def permit(request: Request, caller: CallerDep) -> str:
    """Give the tenant: whoever reads needs the scope `read`, whoever does more needs `write`.

    Raises:
        MissingScope: If the key does not have it.
    """
    return _permitted(caller, KeyScope.READ if request.method in READING else KeyScope.WRITE)


async def permit_admin(caller: CallerDep) -> str:
    """Give the tenant; whoever calls needs the scope `admin`.

    Raises:
        MissingScope: If the key does not have it.
    """
    return _permitted(caller, KeyScope.ADMIN)


# Every route under /v1 has one of these, and a test holds it so.
TenantDep = Annotated[str, Depends(permit, scope="function")]
AdminTenantDep = Annotated[str, Depends(permit_admin, scope="function")]


def tenant_alone(session: SessionDep, tenant_id: TenantDep) -> str:
    """Give the tenant, and the database connection back: what follows may take long."""
    session.commit()
    return tenant_id


def admin_tenant_alone(session: SessionDep, tenant_id: AdminTenantDep) -> str:
    """Do the same for an admin."""
    session.commit()
    return tenant_id


TenantAloneDep = Annotated[str, Depends(tenant_alone, scope="function")]
AdminTenantAloneDep = Annotated[str, Depends(admin_tenant_alone, scope="function")]


def _take_token(limit: RateLimit | None, caller: Caller) -> None:
    wait = limit.seconds_to_wait(caller.key_id) if limit else 0.0
    if limit and wait:
        raise TooManyRequests(
            f"This API key may make {limit.rate:g} requests per second, {limit.burst} at once. "
            f"Try again in {wait:.1f} s.",
            retry_after_seconds=math.ceil(wait),
        )


def _permitted(caller: Caller, needed: KeyScope) -> str:
    if not caller.scope.includes(needed):
        raise MissingScope(
            f"This needs a key with the scope '{needed}'; yours has '{caller.scope}'. Ask an admin for one."
        )
    return caller.tenant_id
