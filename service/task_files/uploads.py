"""Keep a tenant's uploads: stream a file in, read it, and only then give it its name.

A reader sees a whole file that can be read, or the one that was there before.
"""

import os
from collections.abc import AsyncIterator
from functools import lru_cache
from pathlib import Path
from tempfile import mkstemp
from typing import BinaryIO

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from api_schemas.tasks import TaskFile, TaskFileList
from service.errors import InvalidTaskFile, TaskFileTooLarge
from service.task_catalogue.places import UPLOAD_NAME, upload_folder
from service.task_catalogue.tables import read_table

UNFINISHED = ".unfinished-"
SUMMARIES_KEPT = 1024


async def store(
    name: str, content: AsyncIterator[bytes], *, data_dir: Path | None, tenant_id: str, max_bytes: int
) -> TaskFile:
    """Stream a file to the tenant's folder, replacing one of the same name.

    Raises:
        InvalidTaskFile: If the name or the content is none of a readable table, or this server keeps
            no uploads.
        TaskFileTooLarge: If there are more than `max_bytes`.
    """
    folder = _folder(data_dir, tenant_id=tenant_id)
    if not UPLOAD_NAME.fullmatch(name):
        raise InvalidTaskFile(
            f"'{name}' must be letters, digits, '_', '-' and '.', and end in .csv, .tsv, .jsonl or .parquet."
        )
    folder.mkdir(parents=True, exist_ok=True)
    descriptor, unfinished_name = mkstemp(prefix=UNFINISHED, dir=folder)
    unfinished = Path(unfinished_name)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123  a descriptor has no Path
            await _receive(content, file, max_bytes=max_bytes)
        await run_in_threadpool(_check, unfinished, name)
        unfinished.chmod(0o644)
        unfinished.replace(folder / name)
    finally:
        unfinished.unlink(missing_ok=True)
    return await run_in_threadpool(_summary, folder / name)


def list_files(*, data_dir: Path | None, tenant_id: str) -> TaskFileList:
    """List a tenant's files by name.

    Raises:
        InvalidTaskFile: If this server keeps no uploads.
    """
    folder = _folder(data_dir, tenant_id=tenant_id)
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    return TaskFileList(
        task_files=tuple(_summary(file) for file in files if UPLOAD_NAME.fullmatch(file.name))
    )


def _folder(data_dir: Path | None, *, tenant_id: str) -> Path:
    if data_dir is None:
        raise InvalidTaskFile("This server keeps no task files: set PARETUNE_DATA_DIR.")
    return upload_folder(data_dir, tenant_id=tenant_id)


async def _receive(content: AsyncIterator[bytes], file: BinaryIO, *, max_bytes: int) -> None:
    try:
        async for chunk in content:
            if file.tell() + len(chunk) > max_bytes:
                raise TaskFileTooLarge(
                    f"The limit is {max_bytes:,} bytes (PARETUNE_MAX_TASK_FILE_BYTES). "
                    "Parquet is smaller than CSV."
                )
            await run_in_threadpool(file.write, chunk)
    except ClientDisconnect as error:
        raise InvalidTaskFile("The upload broke off. Send the file again.") from error
    file.flush()
    await run_in_threadpool(os.fsync, file.fileno())


def _check(unfinished: Path, name: str) -> None:
    read_table(unfinished.read_bytes(), name=name)


def _summary(file: Path) -> TaskFile:
    status = file.stat()
    return _summary_of(file, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=SUMMARIES_KEPT)
def _summary_of(file: Path, _changed_ns: int, size_bytes: int) -> TaskFile:
    table = read_table(file.read_bytes(), name=file.name)
    return TaskFile(name=file.name, rows=len(table.rows), columns=table.columns, bytes=size_bytes)
