"""One Idempotency-Key, one effect: a repeated POST gets the answer of the first, byte for byte.

The answer is stored in the transaction of its effect, so neither exists without the other. A lock on
the key lasts as long as that transaction; another request with the key meanwhile is told to repeat.
Nothing is reserved before, so a process that dies leaves nothing behind, and a request that failed can be
repeated. Two equal requests may both be validated before their transactions; only one takes effect.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, TypeVar

from fastapi import Depends, Header, Request, Response
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from api_schemas.base import Schema
from service.api.dependencies import AdminTenantDep, TenantDep
from service.errors import RequestInProgress, ReusedIdempotencyKey
from service.storage.database import transaction
from service.storage.models import IdempotencyKey

Answer = TypeVar("Answer", bound=Schema)

KeyHeader = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x20-\x7e]*$",
        examples=["4f1c9ad0-import-7"],
        description="Names this request for 24 hours: sent again, it gets the same answer and has no "
        "second effect. The answer then has the header `Idempotent-Replayed: true`.",
    ),
]


@dataclass(frozen=True)
class IdempotentRequest:
    """A request by its tenant, its key and a hash of its content. Without a key it is never replayed."""

    tenant_id: str
    key: str | None
    request_hash: str


async def posted(request: Request, tenant_id: TenantDep, key: KeyHeader = None) -> IdempotentRequest:
    """Return a request with the hash of its method, path and body."""
    return await _posted(request, tenant_id, key)


async def posted_by_admin(
    request: Request, tenant_id: AdminTenantDep, key: KeyHeader = None
) -> IdempotentRequest:
    """Return the same for a request that only admins may send."""
    return await _posted(request, tenant_id, key)


def accept_key(key: KeyHeader = None) -> None:
    """Accept a key and store nothing: for routes that are idempotent by what their body names."""


async def _posted(request: Request, tenant_id: str, key: str | None) -> IdempotentRequest:
    content = b"\0".join((request.method.encode(), request.scope["path"].encode(), await request.body()))
    return IdempotentRequest(tenant_id=tenant_id, key=key, request_hash=hashlib.sha256(content).hexdigest())


IdempotentDep = Annotated[IdempotentRequest, Depends(posted, scope="function")]
AdminIdempotentDep = Annotated[IdempotentRequest, Depends(posted_by_admin, scope="function")]


def run_once(
    request: IdempotentRequest,
    effect: Callable[[Session], Answer],
    *,
    status: HTTPStatus = HTTPStatus.OK,
    location: Callable[[Answer], str] | None = None,
    hide: str | None = None,
) -> Response:
    """Carry out a request and store its answer, with null in the field to hide; or return the stored answer.

    Raises:
        RequestInProgress: If another request with this key is being carried out.
        ReusedIdempotencyKey: If the key stands for another request.
    """
    with transaction() as session:
        if request.key is not None and not session.scalar(
            select(func.pg_try_advisory_xact_lock(_lock_number(request)))
        ):
            raise RequestInProgress("Repeat it in a second: it gets the answer of the first.")
        row = _stored(session, request)
        if row is not None:
            return _response(row, replayed=True)
        answer = effect(session)
        stored = answer if hide is None else answer.model_copy(update={hide: None})
        row = IdempotencyKey(
            tenant_id=request.tenant_id,
            key=request.key,
            request_hash=request.request_hash,
            status=status,
            location=None if location is None else location(answer),
            body=_json(stored),
        )
        if request.key is not None:
            session.add(row)
    return _response(row, replayed=False, body=_json(answer))


def replay(request: IdempotentRequest) -> Response | None:
    """Return the stored answer of a request, if there is one: for routes that validate at length first.

    Raises:
        ReusedIdempotencyKey: If the key stands for another request.
    """
    with transaction() as session:
        row = _stored(session, request)
    return None if row is None else _response(row, replayed=True)


def _stored(session: Session, request: IdempotentRequest) -> IdempotencyKey | None:
    if request.key is None:
        return None
    row = session.get(IdempotencyKey, (request.tenant_id, request.key))
    if row is not None and row.request_hash != request.request_hash:
        raise ReusedIdempotencyKey(
            "It was sent before with another method, path or body. Send this request with a key of its own."
        )
    return row


def _response(row: IdempotencyKey, *, replayed: bool, body: str | None = None) -> Response:
    headers = {} if row.location is None else {"Location": row.location}
    if replayed:
        headers["Idempotent-Replayed"] = "true"
    return Response(body or row.body, status_code=row.status, media_type="application/json", headers=headers)


def _json(answer: Schema) -> str:
    return answer.model_dump_json(by_alias=True)


def _lock_number(request: IdempotentRequest) -> int:
    named = f"{request.tenant_id}\0{request.key}".encode()
    return int.from_bytes(hashlib.sha256(named).digest()[:8], "big", signed=True)
