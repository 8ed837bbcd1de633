"""The routes under /v1/task_files: upload, look at, list and delete data to train on."""

from collections.abc import AsyncIterator

from fastapi import APIRouter, Request
from starlette.requests import ClientDisconnect

from api_schemas.tasks import TaskFile, TaskFileHead, TaskFileList
from service.api.dependencies import SessionDep, TenantDep
from service.api.protocol.entity_tags import NOT_MODIFIED
from service.api.protocol.problems import documented
from service.errors import InvalidTaskFile
from service.settings import settings
from service.studies import uploads

PREFIX = "/v1/task_files"

router = APIRouter(prefix=PREFIX, tags=["task files"], responses=documented(401, 422, 503))

RAW_BODY = {"requestBody": {"content": {"application/octet-stream": {}}, "required": True}}


@router.put("/{name}", responses=documented(404, 409, 507), openapi_extra=RAW_BODY)
async def put_task_file(name: str, request: Request, tenant_id: TenantDep) -> TaskFile:
    """Upload a CSV, TSV, JSONL or Parquet file as the raw body. Studies refer to it as `file:NAME`."""
    kept = settings()
    return await uploads.store(
        name,
        _received(request),
        data_dir=kept.data_dir,
        tenant_id=tenant_id,
        max_bytes=kept.max_task_file_bytes,
    )


@router.get("/{name}", responses=NOT_MODIFIED | documented(404))
def get_task_file(name: str, tenant_id: TenantDep) -> TaskFileHead:
    """Read what one of your files is, with its first rows."""
    return uploads.head(name, data_dir=settings().data_dir, tenant_id=tenant_id)


@router.delete("/{name}", status_code=204, responses=documented(404, 409))
def delete_task_file(name: str, session: SessionDep, tenant_id: TenantDep) -> None:
    """Delete one of your files; 409 while an open study trains on it. Deleting it again returns 404."""
    uploads.delete(session, name, data_dir=settings().data_dir, tenant_id=tenant_id)


@router.get("", responses=NOT_MODIFIED)
def list_task_files(tenant_id: TenantDep) -> TaskFileList:
    """List your uploaded files by name."""
    return uploads.list_files(data_dir=settings().data_dir, tenant_id=tenant_id)


async def _received(request: Request) -> AsyncIterator[bytes]:
    try:
        async for chunk in request.stream():
            yield chunk
    except ClientDisconnect as error:
        raise InvalidTaskFile("The upload broke off. Send the file again.") from error
