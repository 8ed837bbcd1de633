"""What is in the rows of a task: labels with their counts, sizes of splits, what was dropped.

The rows of files are read by a child, those of packages here, once.
"""

from functools import lru_cache
from pathlib import Path

from api_schemas.catalogue import TaskPreview
from api_schemas.errors import FieldError
from api_schemas.tasks import Task
from service.catalogue.tasks import reading
from service.catalogue.tasks.facts import preview_of_rows
from service.catalogue.tasks.sources import load_task, settled, source_files
from service.errors import InvalidStudy

IN_A_STUDY = "/configuration/task"


def preview_of_task(task: Task, *, data_dir: Path | None, tenant_id: str) -> TaskPreview:
    """Return what a study of the tenant would train on.

    Raises:
        InvalidStudy: If the task cannot be used; the pointers of its errors are into the task.
    """
    try:
        found = settled(task, data_dir=data_dir, tenant_id=tenant_id)
        if found.is_file or found.is_hub:
            return reading.preview_of(found, source_files(found, data_dir=data_dir))
        return _of_package(found.name)
    except InvalidStudy as error:
        error.errors = tuple(
            FieldError(pointer=item.pointer.removeprefix(IN_A_STUDY), detail=item.detail)
            for item in error.errors
        )
        raise


@lru_cache
def _of_package(name: str) -> TaskPreview:
    return preview_of_rows(load_task(Task(name=name), data_dir=None))
