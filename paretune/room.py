"""Say that a disk is full, however that shows while a server starts."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from paretune.child_process import ChildDied
from paretune.errors import ParetuneError
from paretune.file_errors import FULL

WORDS = ("No space left on device", "Disk quota exceeded", "File too large", "File size limit exceeded")
"""What the C library says of them; children's logs quote it."""

LITTLE_BYTES = 2**24
FIRST_START_BYTES = 100 * 2**20
"""As root, with the copy of PostgreSQL that its user can reach, 81 MiB were measured."""


class NoRoom(ParetuneError):
    """The disk of the state directory is full, or a limit on files is reached."""


@contextmanager
def room_for_a_start(state_dir: Path) -> Iterator[None]:
    """Turn what a full disk makes of a start into one sentence.

    Raises:
        NoRoom: If something failed in the block because the disk is full.
    """
    try:
        yield
    except (OSError, ChildDied) as error:
        if not _is_want_of_room(error, state_dir):
            raise
        free = shutil.disk_usage(state_dir).free
        raise NoRoom(
            f"There is no room in {state_dir}: a first start takes about {FIRST_START_BYTES >> 20} MiB, and "
            f"{free >> 20:,} MiB are free now, or less by a quota or a limit on files. Make room, or choose "
            "another --state-dir."
        ) from error


def _is_want_of_room(error: Exception, state_dir: Path) -> bool:
    if isinstance(error, OSError) and error.errno in FULL:
        return True
    # A copied folder's error lists all of its files; a child's quotes its log.
    if any(word in str(error) for word in WORDS):
        return True
    return isinstance(error, ChildDied) and shutil.disk_usage(state_dir).free < LITTLE_BYTES
