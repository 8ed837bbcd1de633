"""Keep a tenant's uploads: stream a file in, read it, and only then give it its name.

A reader sees a whole file that can be read, or the one that was there before.
"""

import os
from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO

from anyio import to_thread
from sqlalchemy.orm import Session

from api_schemas.tasks import TaskFile, TaskFileHead, TaskFileList
from service.catalogue import kept_uploads
from service.catalogue.tasks.places import UPLOAD_NAME, upload_folder
from service.catalogue.tasks.reading import first_rows_of, summaries_of
from service.errors import InvalidTaskFile, NotFound, TaskFileTooLarge
from service.studies import task_file_changes

NO_SUCH_FILE = "There is no such file. `GET /v1/task_files` lists your files."


async def store(
    name: str, content: AsyncIterator[bytes], *, data_dir: Path | None, tenant_id: str, max_bytes: int
) -> TaskFile:
    """Stream a file to the tenant's folder, replacing one of the same name.

    Raises:
        InvalidTaskFile: If the name or the content is none of a readable table, or this server keeps
            no uploads.
        TaskFileTooLarge: If there are more than `max_bytes`.
        LimitReached: If the tenant has no room for it.
        TaskFileInUse: If an open study reads the file of that name.
    """
    folder = _folder(data_dir, tenant_id=tenant_id)
    if data_dir is None or not UPLOAD_NAME.fullmatch(name):
        raise InvalidTaskFile(
            f"'{name}' must be letters, digits, '_', '-' and '.', and end in .csv, .tsv, .jsonl or .parquet."
        )
    room = await to_thread.run_sync(
        partial(task_file_changes.room_for, name, data_dir=data_dir, tenant_id=tenant_id)
    )
    folder.mkdir(parents=True, exist_ok=True)
    with kept_uploads.unfinished_file(folder) as (file, unfinished):
        await _receive(content, file, max_bytes=max_bytes, room=room)
        [summary] = await to_thread.run_sync(partial(_summaries, [unfinished], name=name))
        await to_thread.run_sync(
            partial(task_file_changes.give_name, unfinished, name, data_dir=data_dir, tenant_id=tenant_id)
        )
    return summary


def list_files(*, data_dir: Path | None, tenant_id: str) -> TaskFileList:
    """List a tenant's files by name.

    Raises:
        InvalidTaskFile: If this server keeps no uploads.
    """
    folder = _folder(data_dir, tenant_id=tenant_id)
    return TaskFileList(task_files=tuple(_summaries([folder / name for name in kept_uploads.names(folder)])))


def head(name: str, *, data_dir: Path | None, tenant_id: str) -> TaskFileHead:
    """Return what a tenant's file is, with its first rows.

    Raises:
        InvalidTaskFile: If this server keeps no uploads, or the file cannot be read any more.
        NotFound: If there is no such file.
    """
    file = _folder(data_dir, tenant_id=tenant_id) / name
    described = _summaries([file]) if UPLOAD_NAME.fullmatch(name) else []
    rows = first_rows_of(file) if described else None
    if rows is None:
        raise NotFound(NO_SUCH_FILE)
    return TaskFileHead(**described[0].model_dump(), first_rows=tuple(map(tuple, rows)))


def delete(session: Session, name: str, *, data_dir: Path | None, tenant_id: str) -> None:
    """Delete a tenant's file, in the caller's transaction.

    Raises:
        InvalidTaskFile: If this server keeps no uploads.
        NotFound: If there is no such file.
        TaskFileInUse: If an open study reads it.
    """
    _folder(data_dir, tenant_id=tenant_id)
    if data_dir is None or not UPLOAD_NAME.fullmatch(name):
        raise NotFound(NO_SUCH_FILE)
    task_file_changes.delete(session, name, data_dir=data_dir, tenant_id=tenant_id)


def _folder(data_dir: Path | None, *, tenant_id: str) -> Path:
    if data_dir is None:
        raise InvalidTaskFile("This server keeps no task files: set PARETUNE_DATA_DIR.")
    folder = upload_folder(data_dir, tenant_id=tenant_id)
    if folder.is_symlink():
        raise InvalidTaskFile(
            "The folder of your uploads is a link, and no link is followed. Ask the operator."
        )
    return folder


async def _receive(
    content: AsyncIterator[bytes], file: BinaryIO, *, max_bytes: int, room: int | None
) -> None:
    async for chunk in content:
        if room is not None and file.tell() + len(chunk) > room:
            raise task_file_changes.does_not_fit(room)
        if file.tell() + len(chunk) > max_bytes:
            raise TaskFileTooLarge(
                f"The limit is {max_bytes:,} bytes (PARETUNE_MAX_TASK_FILE_BYTES). "
                "Parquet is smaller than CSV."
            )
        await to_thread.run_sync(file.write, chunk)
    file.flush()
    await to_thread.run_sync(os.fsync, file.fileno())


def _summaries(files: Sequence[Path], *, name: str | None = None) -> list[TaskFile]:
    """Describe files, but those deleted since they were listed; `name` is that of one without its own yet."""
    return [
        TaskFile(name=name or file.name, rows=found.rows, columns=found.columns, bytes=found.bytes)
        for file, found in zip(files, summaries_of(files, name=name), strict=True)
        if found is not None
    ]
