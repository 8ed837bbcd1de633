"""The process that asks: runs the parts on a server that is there, and writes each part once it is over."""

import argparse
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from platform import python_version

from benchmarks.service import claims, large, memory, poll, sse
from benchmarks.service.context import Context
from benchmarks.service.results import Measured, Record, append

PARTS: dict[str, Callable[[Context], Iterator[Measured]]] = {
    "poll": poll.measure,
    "sse": sse.measure,
    "claims": claims.measure,
    "large": large.measure,
    "memory": memory.measure,
}
PACKAGES = ("paretune", "fastapi", "starlette", "uvicorn", "uvloop", "pydantic", "sqlalchemy", "psycopg")


def main() -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="+", choices=list(PARTS))
    parser.add_argument("--url", required=True)
    parser.add_argument("--api-pid", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--command", required=True)
    asked = parser.parse_args()
    context = Context(
        url=asked.url,
        api_key=os.environ["PARETUNE_API_KEY"],
        api_pid=asked.api_pid,
        seconds=asked.seconds,
    )
    for part in asked.parts:
        rows = []
        for row in PARTS[part](context):
            print(f"{part:8} {row.what}: {shown(row)}", flush=True)
            rows.append(row)
        store(asked.results, part, rows, command=asked.command)


def store(path: Path, part: str, rows: list[Measured], *, command: str) -> None:
    """Write what a part measured."""
    versions = {"python": python_version(), **{name: version(name) for name in PACKAGES}}
    ended = datetime.now(UTC).isoformat(timespec="seconds")
    append(path, [Record(part, row, versions, command, ended) for row in rows])


def shown(row: Measured) -> str:
    """Give the figures in one line, and whether the target holds."""
    verdict = {True: " (holds)", False: " (MISSED)", None: ""}[row.holds()]
    return ", ".join(f"{name} {value:g}" for name, value in row.figures.items()) + verdict


if __name__ == "__main__":
    main()
