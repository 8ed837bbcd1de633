"""Ask a child process what is in files: this process stays small whatever they hold.

The child has limits on memory and time, and a few children at most run at once.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from itertools import zip_longest
from pathlib import Path
from typing import Any

import structlog

from api_schemas.catalogue import TaskPreview
from api_schemas.tasks import Task, TaskKind
from service.catalogue.tasks.facts import SourceFiles, TaskFacts
from service.catalogue.tasks.folds import PoolFacts
from service.catalogue.tasks.limits import READERS_AT_ONCE, READING_MEMORY, READING_SECONDS
from service.errors import InvalidTask, InvalidTaskFile, ServiceError

CHILD = "service.catalogue.tasks.reading_process"
PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "PYTHONDONTWRITEBYTECODE")
"""Of the environment: no key and no URL, for which the child has no use."""
SUMMARIES_KEPT = 4096

log = structlog.get_logger(__name__)

LAST_SAID = 2000

DAMAGE = "cannot be read: its reader crashed over it. It is damaged, or this machine lacks memory"

_readers = threading.BoundedSemaphore(READERS_AT_ONCE)
_summaries: dict[tuple[int, int, int, str], "Summary"] = {}


@dataclass(frozen=True)
class Summary:
    """What a table is from afar."""

    rows: int
    columns: tuple[str, ...]
    bytes: int


class ReadersBusy(ServiceError, status=HTTPStatus.SERVICE_UNAVAILABLE, retry_after_seconds=5):
    """The server reads other files at the moment.

    So many files are being read that this one had no turn. Try again in a few seconds.
    """


def facts_of(task: Task, files: SourceFiles) -> TaskFacts:
    """Return the facts of a task's files.

    Raises:
        InvalidTask: If they cannot be used, or not be read within the limits.
        ReadersBusy: If no child had room for them.
    """
    found = _ask_of_task(task, files)
    tuples = {"labels": tuple(found["labels"]), "split_rows": tuple(found["split_rows"])}
    pool = None if found["pool"] is None else PoolFacts(**found["pool"])
    return TaskFacts(**{**found, **tuples, "kind": TaskKind(found["kind"]), "pool": pool})


def preview_of(task: Task, files: SourceFiles) -> TaskPreview:
    """Return what is in the rows of a task's files. Raises what `facts_of` does."""
    return TaskPreview.model_validate(_ask_of_task(task, files, preview=True))


def first_rows_of(file: Path) -> list[list[str]] | None:
    """Return the first rows of a table as short texts; None if it is gone.

    Raises:
        InvalidTaskFile: If it is no table, or cannot be read within the limits.
        ReadersBusy: If no child had room for it.
    """
    found = _ask([{"first_rows": str(file), "name": file.name}], file.name)[0]
    if "refused" in found:
        raise InvalidTaskFile(found["refused"])
    rows: list[list[str]] | None = found.get("first_rows")
    return rows


def summaries_of(files: Sequence[Path], *, name: str | None = None) -> list[Summary | None]:
    """Return the summary of each table, and None for one that is gone. Each version of a file is read once.

    `name` is the one that a file will have.

    Raises:
        InvalidTaskFile: If one is no table, or cannot be read within the limits.
        ReadersBusy: If no child had room for them.
    """
    stamps = [_stamp(file, name or file.name) for file in files]
    found = [None if stamp is None else _summaries.get(stamp) for stamp in stamps]
    unknown = [place for place, stamp in enumerate(stamps) if stamp is not None and found[place] is None]
    names = [name or files[place].name for place in unknown]
    requests = [
        {"table": str(files[place]), "name": named} for place, named in zip(unknown, names, strict=True)
    ]
    answers = _ask(requests, *names)
    if len(_summaries) > SUMMARIES_KEPT:
        _summaries.clear()
    for order, place in enumerate(unknown):
        answer, stamp = answers[order], stamps[place]
        if "refused" in answer:
            raise InvalidTaskFile(answer["refused"])
        if "rows" in answer and stamp is not None:
            summary = Summary(answer["rows"], tuple(answer["columns"]), bytes=stamp[2])
            found[place] = _summaries[stamp] = summary
    return found


def _ask_of_task(task: Task, files: SourceFiles, *, preview: bool = False) -> dict[str, Any]:
    request = {
        "task": task.model_dump(mode="json"),
        "files": {
            "folder": str(files.folder),
            "by_split": files.by_split,
            "class_names": files.class_names,
            "left_out": files.left_out,
        },
        "preview": preview,
    }
    found = _ask([request], task.name)[0]
    if "refused" in found:
        refused = found["refused"]
        raise InvalidTask(refused if isinstance(refused, dict) else {"name": refused})
    return found


def _stamp(file: Path, name: str) -> tuple[int, int, int, str] | None:
    try:
        status = file.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size, name


def _ask(requests: Sequence[object], *names: str) -> list[dict[str, Any]]:
    """Return the child's answers in order; the request that was its end, and those after it, are refused."""
    if not requests:
        return []
    environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    environment |= {
        "PYTHONPATH": os.pathsep.join(place or str(Path.cwd()) for place in sys.path),
        "ARROW_DEFAULT_MEMORY_POOL": "system",
        "OMP_NUM_THREADS": "1",
    }
    lines = "".join(f"{json.dumps(request)}\n" for request in requests)
    in_time = True
    with _a_reader():
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", CHILD, str(READING_MEMORY)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        try:
            answers, said = child.communicate(lines, timeout=READING_SECONDS)
        except subprocess.TimeoutExpired:
            in_time = False
            child.kill()
            answers, said = child.communicate()
    found = [json.loads(line) for line in answers.splitlines(keepends=True) if line.endswith("\n")]
    if in_time and len(found) < len(requests):
        log.warning("a reader of files has ended", returncode=child.returncode, said=said[-LAST_SAID:])
    memory = f"takes more than {READING_MEMORY:,} bytes of memory to read, which is the limit"
    time = f"takes more than {READING_SECONDS:g} seconds to read, which is the limit"
    reasons = [memory if "out_of_memory" in answer else None for answer in found]
    reasons += [DAMAGE if in_time else time] * (len(requests) - len(found))
    return [
        answer if reason is None else {"refused": f"'{name}' {reason}."}
        for answer, reason, name in zip_longest(found, reasons, names)
    ]


@contextmanager
def _a_reader() -> Iterator[None]:
    if not _readers.acquire(timeout=READING_SECONDS):
        raise ReadersBusy(f"{READERS_AT_ONCE} files are being read, and others wait.")
    try:
        yield
    finally:
        _readers.release()
