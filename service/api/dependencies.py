"""What an endpoint asks for: a session that commits before the answer, and the caller's tenant.

To ask for the tenant is to declare the scope that the route needs; what else holds for every request under
/v1 is checked after it, so that without a key nothing else is learned.
"""

from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, FastAPI, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy.orm import Session

from api_schemas.access import KeyScope
from service.access.keys import Caller
from service.api.protocol.authentication import AdminRoute, check_scope
from service.api.protocol.request_rules import keep_to_rules
from service.errors import NotFound, ServiceError
from service.storage.database import transaction

bearer = HTTPBearer(auto_error=False, description="An API key; `paretune up` makes one and prints it.")


def open_session(request: Request) -> Iterator[Session]:
    """Open the request's one transaction; what reads sees one moment, so that its parts agree."""
    with transaction() as session:
        if request.method == "GET":
            session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        yield session


# The scope makes the commit come before the answer: a client never reads 201 for rows that do not exist.
SessionDep = Annotated[Session, Depends(open_session, scope="function")]


async def authenticate(
    request: Request, _documented: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]
) -> Caller:
    """Return who calls, as `access.authentication` has found out.

    Raises:
        ServiceError: If the key is refused.
        NotFound: If the path holds a name that nothing can have.
    """
    caller: Caller | ServiceError = request.scope["caller"]
    if isinstance(caller, ServiceError):
        raise caller
    if any("\0" in str(value) for value in request.path_params.values()):
        # The database would refuse to look it up.
        raise NotFound("The path holds a NUL character, and nothing has such a name.")
    return caller


CallerDep = Annotated[Caller, Depends(authenticate, scope="function")]


async def permit(request: Request, caller: CallerDep) -> str:
    """Return the tenant; the scope `read` or `write` that its method needs was checked with the key."""
    await keep_to_rules(request)
    return caller.tenant_id


async def permit_admin(request: Request, caller: CallerDep) -> str:
    """Return the tenant; the caller needs the scope `admin`.

    Raises:
        MissingScope: If the key does not have it.
    """
    check_scope(caller, KeyScope.ADMIN)
    await keep_to_rules(request)
    return caller.tenant_id


# Every route under /v1 has one of these, and a test holds it so. Neither takes a connection.
TenantDep = Annotated[str, Depends(permit, scope="function")]
AdminTenantDep = Annotated[str, Depends(permit_admin, scope="function")]


def admin_routes(app: FastAPI) -> tuple[AdminRoute, ...]:
    """Return the routes of admins, so that others are turned away before a body is read."""
    return tuple(
        AdminRoute(frozenset(route.methods or ()), route.path_regex)
        for route in iter_route_contexts(app.routes)
        if (dependant := getattr(route, "dependant", None)) is not None and _asks_for_admin(dependant)
    )


def _asks_for_admin(dependant: Dependant) -> bool:
    return dependant.call is permit_admin or any(map(_asks_for_admin, dependant.dependencies))
