"""What a child of the API runs to read files: requests line by line, and an answer to each in its turn.

Its argument is the memory that it may have, in bytes.

A file may unpack to more than there is memory, or make its reader crash. Here that ends a process of
whose end only the asking process notices: `service.catalogue.tasks.reading`.
"""

import contextlib
import json
import resource
import sys
from collections.abc import Callable
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from api_schemas.tasks import Task
from service.catalogue.tasks.facts import SourceFiles, preview_of_rows, read_task
from service.catalogue.tasks.places import open_file
from service.catalogue.tasks.tables import ABSENT, Table, count_rows, open_table
from service.errors import InvalidTask, InvalidTaskFile, UnknownTask
from service.runtime.process_lifetime import die_with_parent

FIRST_TO_GO = "1000"
FIRST_ROWS = 5
LONGEST_SHOWN = 200
"""Characters of a cell."""


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Return what a request asks for; `refused` has what is wrong with the files."""
    try:
        if "table" in request:
            return _of_table(Path(request["table"]), _summary, name=request["name"])
        if "first_rows" in request:
            return _of_table(Path(request["first_rows"]), _first_rows, name=request["name"])
        files = request["files"]
        source = SourceFiles(**{**files, "folder": Path(files["folder"])})
        data = read_task(Task.model_validate(request["task"]), source)
        return preview_of_rows(data).model_dump(mode="json") if request["preview"] else asdict(data.facts)
    except (InvalidTaskFile, UnknownTask) as error:
        return {"refused": error.detail}
    except MemoryError:
        return {"out_of_memory": True}
    except InvalidTask as error:
        return {"refused": {item.pointer.rpartition("/")[2]: item.detail for item in error.errors}}


def _of_table(path: Path, describe: Callable[[Table], dict[str, Any]], *, name: str) -> dict[str, Any]:
    """Describe a table; say so if it is gone."""
    try:
        file = open_file(path, in_cache=False)
    except UnknownTask:
        return {"gone": True}
    with file:
        return describe(open_table(file, name=name))


def _summary(table: Table) -> dict[str, Any]:
    return {"columns": table.columns, "rows": count_rows(table)}


def _first_rows(table: Table) -> dict[str, Any]:
    rows = islice(table.cells(table.columns), FIRST_ROWS)
    return {"first_rows": [[_shown(cell) for cell in row] for row in rows]}


def _shown(cell: Any) -> str:
    if cell is None or cell is ABSENT:
        return ""
    text = cell.decode(errors="replace") if isinstance(cell, bytes) else str(cell)
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 1]}…"


def _limit(memory: int) -> None:
    die_with_parent()
    with contextlib.suppress(ValueError):  # where the operator has set less
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    with contextlib.suppress(OSError):
        # Where the machine's memory ends before.
        Path("/proc/self/oom_score_adj").write_text(FIRST_TO_GO, encoding="ascii")


if __name__ == "__main__":
    _limit(int(sys.argv[1]))
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)  # noqa: T201  the answer
