"""A tenant's files as they lie on the disk: how much they take, and what a dead upload left. Knows no study.

An upload holds a lock on the file it writes, which ends with its process, so that any process can tell a slow
upload from a dead one. No link is followed.
"""

import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkstemp
from typing import BinaryIO

import structlog

from service.catalogue.tasks.places import UPLOAD_NAME, UPLOADS

log = structlog.get_logger(__name__)

UNFINISHED = ".unfinished-"
UNFINISHED_SECONDS = 60.0
"""A file that no process holds, and that was not written to for so long, was left behind."""


def names(folder: Path) -> list[str]:
    """List the files that have a name, sorted."""
    return sorted(name for name in _sizes(folder) if UPLOAD_NAME.fullmatch(name))


def kept_bytes(folder: Path) -> int:
    """Add up the files that have a name."""
    return sum(size for name, size in _sizes(folder).items() if UPLOAD_NAME.fullmatch(name))


def size_bytes(folder: Path, name: str) -> int:
    """Return the size of a file; 0 if there is none."""
    return _sizes(folder).get(name, 0)


def has(folder: Path, name: str) -> bool:
    """Return whether there is a file, or a link in its place."""
    place = folder / name
    return place.is_symlink() or place.is_file()


@contextmanager
def unfinished_file(folder: Path) -> Iterator[tuple[BinaryIO, Path]]:
    """Yield a new file to write, and its place, which is empty after the block."""
    descriptor, name = mkstemp(prefix=UNFINISHED, dir=folder)
    with open(descriptor, "wb") as file:  # noqa: PTH123  a descriptor has no Path
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield file, Path(name)
        finally:
            Path(name).unlink(missing_ok=True)


def sweep_unfinished(data_dir: Path) -> int:
    """Delete what dead uploads of all tenants left; return how many. Several processes may do so at once."""
    swept = 0
    for folder in (data_dir / UPLOADS).glob("*"):
        for file in () if folder.is_symlink() else folder.glob(f"{UNFINISHED}*"):
            if _is_left_behind(file):
                file.unlink(missing_ok=True)
                log.info("what a dead upload left is deleted", file=file.name)
                swept += 1
    return swept


def _sizes(folder: Path) -> dict[str, int]:
    try:
        with os.scandir(folder) as entries:
            return dict(_size(entry) for entry in entries if entry.is_file(follow_symlinks=False))
    except (FileNotFoundError, NotADirectoryError):
        return {}


def _size(entry: os.DirEntry[str]) -> tuple[str, int]:
    try:
        return entry.name, entry.stat(follow_symlinks=False).st_size
    except FileNotFoundError:  # deleted since
        return entry.name, 0


def _is_left_behind(file: Path) -> bool:
    try:
        status = file.lstat()
        # One that was written in the future was written before the clock went back.
        if not stat.S_ISREG(status.st_mode) or abs(time.time() - status.st_mtime) < UNFINISHED_SECONDS:
            return False
        descriptor = os.open(file, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True
