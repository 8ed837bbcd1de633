"""The routes under /v1/keys, /v1/limits and /v1/audit_events: for admins of a tenant, but the current key."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from sqlalchemy.orm import Session

from api_schemas.access import (
    AuditEventPage,
    AuditEventRead,
    KeyCreate,
    KeyCreated,
    KeyPage,
    KeyRead,
    Limits,
)
from api_schemas.base import WITHOUT_NUL
from service.access import keys, limits
from service.api.dependencies import AdminTenantDep, CallerDep, SessionDep, TenantDep
from service.api.protocol.entity_tags import NOT_MODIFIED
from service.api.protocol.idempotency import AdminIdempotentDep, run_once
from service.api.protocol.problems import documented
from service.storage import audit_log

router = APIRouter(prefix="/v1", tags=["access"], responses=documented(401, 422, 503))

KeyId = Annotated[str, Path(pattern=WITHOUT_NUL, max_length=100)]
PageSize = Annotated[int, Query(ge=1, le=500)]
KeyToken = Annotated[str | None, Query(pattern=r"^key_[0-9a-f]{32}$", examples=[f"key_{'0' * 32}"])]
SequenceToken = Annotated[int | None, Query(ge=1, lt=2**63)]


@router.post("/keys", status_code=201, response_model=KeyCreated, responses=documented(400, 409, 415))
def create_key(request: KeyCreate, posted: AdminIdempotentDep) -> Response:
    """Create a key for your tenant. Its secret is shown in this answer only."""

    def effect(session: Session) -> KeyCreated:
        key, secret = keys.create_key(session, tenant_id=posted.tenant_id, **dict(request))
        return KeyCreated(**KeyRead.model_validate(key).model_dump(), secret=secret)

    return run_once(posted, effect, status=HTTPStatus.CREATED, hide="secret")


@router.get("/keys", responses=NOT_MODIFIED)
def list_keys(
    session: SessionDep, tenant_id: AdminTenantDep, page_size: PageSize = 100, page_token: KeyToken = None
) -> KeyPage:
    """List the keys of your tenant, newest first, including revoked ones."""
    page = keys.list_keys(session, tenant_id=tenant_id, page_size=page_size, before=page_token)
    token = page[-1].id if len(page) == page_size else None
    return KeyPage(keys=tuple(map(KeyRead.model_validate, page)), next_page_token=token)


@router.get("/keys/current", responses=NOT_MODIFIED)
def get_current_key(session: SessionDep, caller: CallerDep, _tenant_id: TenantDep) -> KeyRead:
    """Read the key that the request carries: its name, and what it may do."""
    return KeyRead.model_validate(keys.get_key(session, caller.key_id))


@router.get("/limits", responses=NOT_MODIFIED)
def get_limits(session: SessionDep, tenant_id: AdminTenantDep) -> Limits:
    """Read what your tenant may have at once, and how much of it is in use."""
    return limits.usage(session, tenant_id)


@router.delete("/keys/{key_id}", responses=documented(404, 409))
def revoke_key(key_id: KeyId, session: SessionDep, tenant_id: AdminTenantDep) -> KeyRead:
    """Revoke a key at once, unless it is the last admin key. Revoking it again changes nothing."""
    return KeyRead.model_validate(keys.revoke_key(session, key_id, tenant_id=tenant_id))


@router.get("/audit_events", responses=NOT_MODIFIED)
def list_audit_events(
    session: SessionDep,
    tenant_id: AdminTenantDep,
    page_size: PageSize = 100,
    page_token: SequenceToken = None,
) -> AuditEventPage:
    """List changes of your tenant's keys, limits and studies, newest first."""
    page = audit_log.list_audit_events(session, tenant_id=tenant_id, page_size=page_size, before=page_token)
    token = str(page[-1].sequence) if len(page) == page_size else None
    return AuditEventPage(audit_events=tuple(map(AuditEventRead.model_validate, page)), next_page_token=token)
