"""The process that asks: runs the parts on a server that is there, and writes each part once it is over."""

import argparse
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.service import changing, claims, clone, large, memory, poll, sse
from benchmarks.service.context import Context
from benchmarks.service.results import Measured, run_part

PARTS: dict[str, Callable[[Context], Iterator[Measured]]] = {
    "poll": poll.measure,
    "changing": changing.measure,
    "sse": sse.measure,
    "claims": claims.measure,
    "large": large.measure,
    "clone": clone.measure,
    "memory": memory.measure,
}


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
        run_part(part, PARTS[part](context), path=asked.results, command=asked.command)


if __name__ == "__main__":
    main()
