"""What the operating system says of a file that cannot be read or written, in a sentence with what to do."""

import errno
import shlex
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from paretune.errors import ParetuneError

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

_ADVICE = {
    errno.ENOENT: "Check the path, and make the folder if it is missing.",
    errno.ENOTDIR: "A part of the path is a file: name another path.",
    errno.EEXIST: "Something else is there already: move it away, or name another path.",
    errno.EISDIR: "It is a folder: name a file.",
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "Name a place that you may write to."),
    **dict.fromkeys(FULL, "Make room, or name a place on another disk."),
}


class FileUnusable(ParetuneError):
    """A file or a folder cannot be read or written."""


class ResultsNotWritten(FileUnusable):
    """A study has ended, and what it found could not be written."""


def as_sentence(error: OSError) -> str | None:
    """Return what became of which file, and what to do; None if the error is about none."""
    if error.filename is None and error.errno not in FULL:
        return None  # a connection, a process: no path would help
    what = "The file cannot be written" if error.filename is None else f"Cannot use {_text(error.filename)}"
    return f"{what}: {error.strerror}. {_ADVICE.get(error.errno or 0, 'Check the path.')}"


@contextmanager
def results_kept(study_id: str, *, output: Path) -> Iterator[None]:
    """Let what cannot be written of an ended study say how to write it again.

    Raises:
        ResultsNotWritten: If a file cannot be written in the block.
    """
    try:
        yield
    except OSError as error:
        said = as_sentence(error)
        if said is None:
            raise
        raise ResultsNotWritten(
            f"{said}\nThe study is kept, with all that it found. Write its results again with: "
            f"paretune resume {study_id} --output {shlex.quote(str(output))}"
        ) from error


def check_writable(folder: Path, *, made: bool = True) -> None:
    """Check that a folder can be written, and leave nothing there; it may be missing if it is `made` later.

    Raises:
        FileUnusable: If it cannot.
    """
    place = folder.absolute()
    while made and not place.exists():
        place = place.parent
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0, "Check the path.")
        raise FileUnusable(f"Cannot write into {folder}: {error.strerror}. {advice}") from error


def _text(filename: object) -> str:
    return filename.decode(errors="replace") if isinstance(filename, bytes) else str(filename)
