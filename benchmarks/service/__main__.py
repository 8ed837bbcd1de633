"""`python -m benchmarks.service [--only PARTS]`, or `... report`; parts are separated by commas."""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.service import ask_and_tell, overload, poison, scheduler
from benchmarks.service.report import DOCUMENT, write_report
from benchmarks.service.results import RESULTS, run_part
from benchmarks.service.server import running_server

PARTS = (
    "poll", "changing", "sse", "claims", "large", "clone", "memory", "scheduler", "ask-and-tell", "overload",
    "poison",
)  # fmt: skip
WHOLE_SERVERS = {
    "scheduler": scheduler.measure,
    "ask-and-tell": ask_and_tell.measure,
    "overload": overload.measure,
    "poison": poison.measure,
}
"""Parts that start one of their own, with workers."""


def main() -> None:
    """Measure, or write the tables of the document."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.service", description=__doc__)
    parser.add_argument("command", nargs="?", choices=["run", "report"], default="run")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, with commas between them")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long each load lasts")
    parser.add_argument("--results", type=Path, default=RESULTS)
    asked = parser.parse_args()
    if asked.command == "report":
        write_report(asked.results, DOCUMENT)
        return
    unknown = sorted(set(asked.only.split(",")) - set(PARTS))
    if unknown:
        parser.error(f"there is no part {', '.join(unknown)}: {', '.join(PARTS)}")
    wanted = [part for part in PARTS if part in asked.only.split(",")]
    command = " ".join(["python -m benchmarks.service", *sys.argv[1:]])
    for name in ("DATABASE_URL", "BROKER_URL"):
        os.environ.pop(name, None)
    if ask := [part for part in wanted if part not in WHOLE_SERVERS]:
        _ask_a_server(ask, seconds=asked.seconds, results=asked.results, command=command)
    for part in (part for part in wanted if part in WHOLE_SERVERS):
        run_part(part, WHOLE_SERVERS[part](), path=asked.results, command=command)


def _ask_a_server(parts: Sequence[str], *, seconds: float, results: Path, command: str) -> None:
    with tempfile.TemporaryDirectory(prefix="paretune-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        with running_server(Path(folder)) as server:
            # In a process of its own, whose settings name the server's database.
            subprocess.run(
                [
                    sys.executable, "-m", "benchmarks.service.measure", *parts,
                    "--url", server.url, "--api-pid", str(server.api_pid), "--seconds", str(seconds),
                    "--results", str(results.absolute()), "--command", command,
                ],
                env={**os.environ, **server.environment},
                check=True,
            )  # fmt: skip


if __name__ == "__main__":
    main()
