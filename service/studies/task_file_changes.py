"""What happens to a tenant's files under its lock: one gets its name, one is deleted.

So no two uploads pass a limit together, and no file goes while a study that reads it is being created.
"""

import filecmp
from collections.abc import Iterator
from pathlib import Path, PurePath

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.access import limits
from service.catalogue import kept_uploads
from service.catalogue.tasks.places import upload_folder
from service.catalogue.tasks.sources import settled
from service.errors import InvalidTask, LimitReached, NotFound, UnknownTask
from service.errors.conflicts import TaskFileChanged, TaskFileInUse
from service.settings import settings
from service.storage import typed_study
from service.storage.database import transaction
from service.storage.models import Study

MOST_FILES = 1000
"""How many files a tenant may keep."""


def room_for(name: str, *, data_dir: Path, tenant_id: str) -> int | None:
    """Return how many bytes a file may have, as far as others do not come first; None is no limit.

    Raises:
        LimitReached: If there is room for nothing.
    """
    with transaction() as session:
        return _room(session, name, data_dir=data_dir, tenant_id=tenant_id)


def give_name(unfinished: Path, name: str, *, data_dir: Path, tenant_id: str) -> None:
    """Let a file that was uploaded whole replace the one of its name.

    Raises:
        LimitReached: If it no longer fits.
        TaskFileInUse: If an open study reads the one of its name, which has other content.
    """
    place = upload_folder(data_dir, tenant_id=tenant_id) / name
    with transaction() as session:
        room = _room(session, name, data_dir=data_dir, tenant_id=tenant_id)
        if room is not None and unfinished.stat().st_size > room:
            raise does_not_fit(room)
        same = place.is_file() and filecmp.cmp(unfinished, place, shallow=False)
        if kept_uploads.has(place.parent, name) and not same:
            _refuse_if_read(session, place, data_dir=data_dir, tenant_id=tenant_id, change="replaced")
        unfinished.chmod(0o644)
        unfinished.replace(place)


def delete(session: Session, name: str, *, data_dir: Path, tenant_id: str) -> None:
    """Delete a file.

    Raises:
        NotFound: If there is none.
        TaskFileInUse: If an open study reads it.
    """
    limits.lock_tenant(session, tenant_id)
    place = upload_folder(data_dir, tenant_id=tenant_id) / name
    if not kept_uploads.has(place.parent, name):
        raise NotFound("There is no such file. `GET /v1/task_files` lists your files.")
    _refuse_if_read(session, place, data_dir=data_dir, tenant_id=tenant_id, change="deleted")
    place.unlink(missing_ok=True)


def refuse_if_changed(study: Study) -> None:
    """Raise TaskFileChanged if a study's file is gone, or is not what it was when the study was posted."""
    configuration = typed_study.configuration(study)
    if configuration is None or not configuration.task.is_file:
        return
    task = configuration.task
    name = PurePath(task.name).name
    try:
        settled(task, data_dir=settings().data_dir, tenant_id=study.tenant_id)
    except UnknownTask as error:
        raise TaskFileChanged(f"'{name}' is gone.") from error
    except InvalidTask as error:
        raise TaskFileChanged(f"'{name}' has other content than when the study was posted.") from error


def does_not_fit(room: int) -> LimitReached:
    """Return that a file is larger than the tenant has room for."""
    refused = LimitReached(
        "This tenant's uploads and saved trials may take no more than its artifact_bytes "
        f"(PARETUNE_TENANT_ARTIFACT_BYTES), and {max(room, 0):,} bytes are left. Delete files or studies "
        "that are no longer needed, or ask the operator for more."
    )
    # The rest of the body is not read.
    refused.headers = {"Connection": "close"}
    return refused


def _room(session: Session, name: str, *, data_dir: Path, tenant_id: str) -> int | None:
    folder = upload_folder(data_dir, tenant_id=tenant_id)
    left = limits.bytes_left(session, tenant_id)
    if name not in (names := kept_uploads.names(folder)) and len(names) >= MOST_FILES:
        raise LimitReached(f"A tenant may keep {MOST_FILES} files. Delete some that are no longer needed.")
    room = None if left is None else left + kept_uploads.size_bytes(folder, name)
    if room is not None and room <= 0:
        raise does_not_fit(room)
    return room


def _refuse_if_read(session: Session, place: Path, *, data_dir: Path, tenant_id: str, change: str) -> None:
    for study_id in _readers(session, place, data_dir=data_dir, tenant_id=tenant_id):
        raise TaskFileInUse(
            f"Study {study_id} trains on '{place.name}', so it cannot be {change} now. Cancel the study or "
            "wait until it ends; or upload under another name."
        )


def _readers(session: Session, place: Path, *, data_dir: Path, tenant_id: str) -> Iterator[str]:
    name = Study.configuration["task"]["name"].astext
    query = select(Study.id, name).where(
        Study.tenant_id == tenant_id, Study.state.in_(limits.OPEN_STATES), name.startswith("file:")
    )
    for study_id, named in session.execute(query.order_by(Study.id)):
        # A name may lead to the file in more than one way.
        if (data_dir / named.removeprefix("file:")).resolve() == place.resolve():
            yield study_id
