"""Whether a disk has space: errors of writes that had none, and a check before. Knows no file of ours."""

import errno
import shutil
import tempfile
from pathlib import Path

from service.errors.conflicts import InsufficientStorage

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""No space, no more of a quota, no larger file by a limit of the process."""
LEAST_FREE_BYTES = 64 * 2**20
"""Below this a disk counts as full: what is written next would not fit."""
PROBE_BYTES = 4096


def refuse_if_full(error: OSError) -> None:
    """Raise if a write failed because no disk space was left; return on any other error.

    Raises:
        InsufficientStorage: If no space was left.
    """
    if error.errno in FULL:
        raise InsufficientStorage(
            "The server's disk is full, and nothing was kept. Ask the operator to make room, then try again."
        ) from error


def lack_of_space(folder: Path) -> str | None:
    """Return why nothing can be written below a folder, which may not exist yet; None if something can."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        free = shutil.disk_usage(folder).free
        with tempfile.NamedTemporaryFile(prefix=".probe-", dir=folder) as probe:
            probe.write(bytes(PROBE_BYTES))
            probe.flush()
    except OSError as error:
        return f"cannot be written to ({error.strerror})"
    return f"has {free / 2**20:,.0f} MiB left" if free < LEAST_FREE_BYTES else None
