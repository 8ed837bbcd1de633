"""Which files a task may name: those of the data directory, and a tenant's own uploads.

Uploads lie in `uploads/TENANT/` of the data directory. No name reaches a file outside it, nor the
uploads of another tenant, whatever links are in the way. Within the uploads, which programs write, a
link is never followed; the operator may have some among the shared files.
"""

import os
import re
import stat
from io import BufferedReader
from pathlib import Path

from api_schemas.tasks import FILE_PREFIX
from service.errors import UnknownTask

UPLOADS = "uploads"
UPLOAD_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}\.(csv|tsv|jsonl|parquet)")


def upload_folder(data_dir: Path, *, tenant_id: str) -> Path:
    """Return the folder of a tenant's uploads. It may not exist yet."""
    return data_dir / UPLOADS / tenant_id


def settled_name(name: str, *, data_dir: Path | None, tenant_id: str) -> str:
    """Rewrite `file:NAME` to what it means for a tenant: their upload if there is one, else a shared file.

    Raises:
        UnknownTask: If there is no such file that the tenant may read.
    """
    short = name.removeprefix(FILE_PREFIX)
    uploaded = f"{UPLOADS}/{tenant_id}/{short}"
    if data_dir is not None and UPLOAD_NAME.fullmatch(short) and is_upload(data_dir / uploaded):
        return FILE_PREFIX + uploaded
    path = file_path(name, data_dir=data_dir)
    assert data_dir is not None  # noqa: S101  or there would be no path
    uploads = (data_dir / UPLOADS).resolve()
    if path.is_relative_to(uploads) and not path.is_relative_to(uploads / tenant_id):
        raise _no_such_file(short)
    return name


def file_path(name: str, *, data_dir: Path | None) -> Path:
    """Find the file of `file:NAME`.

    Raises:
        UnknownTask: If there is none under the data directory, or the directory is not set.
    """
    short = name.removeprefix(FILE_PREFIX)
    if data_dir is None:
        raise UnknownTask("This server has no folder for task files: set PARETUNE_DATA_DIR.")
    try:
        root = data_dir.resolve()
        path = (root / short).resolve()
        if path.is_relative_to(root) and path.is_file() and not _by_a_link_of_uploads(root, short, path):
            return path
    except (OSError, ValueError) as error:  # a name too long, or with a zero byte
        raise _no_such_file(short) from error
    raise _no_such_file(short)


def is_upload(path: Path) -> bool:
    """Return whether there is a file of the uploads at a path, and not a link to one."""
    return path.is_file() and not path.is_symlink() and not path.parent.is_symlink()


def open_file(path: Path, *, in_cache: bool) -> BufferedReader:
    """Open a file to read; in a cache of the hub links are followed, elsewhere they are no files.

    Raises:
        UnknownTask: If there is no file.
    """
    links = 0 if in_cache else os.O_NOFOLLOW
    try:
        # A pipe would wait for a process that writes to it.
        file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | links), "rb")
    except OSError as error:
        raise _no_such_file(path.name) from error
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise _no_such_file(path.name)
    return file


def _by_a_link_of_uploads(root: Path, short: str, path: Path) -> bool:
    uploads = root / UPLOADS
    named = Path(os.path.normpath(root / short))
    return path != named and (path.is_relative_to(uploads) or named.is_relative_to(uploads))


def _no_such_file(short: str) -> UnknownTask:
    return UnknownTask(
        f"There is no file '{short}' among your uploads or under the data directory. "
        f"Upload it with PUT /v1/task_files/NAME, or put it under PARETUNE_DATA_DIR."
    )
