"""The routes that tell what a study can be made of: names that are known here, and the rows of a task."""

from fastapi import APIRouter, Depends

from api_schemas.catalogue import Catalogue, TaskPreview
from api_schemas.tasks import Task
from service.api.dependencies import TenantDep
from service.api.protocol.entity_tags import NOT_MODIFIED
from service.api.protocol.idempotency import accept_key
from service.api.protocol.problems import documented
from service.catalogue.listing import catalogue
from service.catalogue.tasks.previews import preview_of_task
from service.settings import settings

router = APIRouter(prefix="/v1", tags=["catalogue"], responses=documented(401, 422, 503))


@router.get("/catalogue", responses=NOT_MODIFIED)
def get_catalogue(_tenant_id: TenantDep) -> Catalogue:
    """Read which backbones, tasks and search spaces have a name here."""
    return catalogue(models_dir=settings().models_dir)


@router.post("/tasks:preview", dependencies=[Depends(accept_key)], responses=documented(400, 415))
def preview_task(task: Task, tenant_id: TenantDep) -> TaskPreview:
    """Read a task's rows as a study would: labels with their counts, splits, what is dropped."""
    return preview_of_task(task, data_dir=settings().data_dir, tenant_id=tenant_id)
