"""`python -m benchmarks.autopeft run --tasks rotten-tomatoes tweets --processes 2`, then `report`."""

import argparse
import multiprocessing
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.autopeft.protocol import TASKS
from benchmarks.autopeft.report import write_report
from benchmarks.autopeft.results import FOLDER
from benchmarks.autopeft.run import run_task, run_transfer

DOCS = Path(__file__).parents[2] / "docs"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is missing, or write the report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.autopeft", description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where results are kept")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run what is not there yet, task by task")
    run.add_argument("--tasks", nargs="+", default=TASKS, choices=TASKS, metavar="NAME")
    run.add_argument("--processes", type=int, default=1, choices=(1, 2), help="tasks at a time")
    commands.add_parser("report", help="write docs/first-searches.md and its image from the results")
    asked = parser.parse_args(arguments)
    if asked.command == "run":
        run_all(asked.tasks, folder=asked.folder, processes=asked.processes)
    else:
        write_report(asked.folder, document=DOCS / "first-searches.md", images=DOCS / "images")


def run_all(tasks: Sequence[str], *, folder: Path, processes: int) -> None:
    """Run the tasks, then the transfers whose source was still being searched."""
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ["HF_HUB_OFFLINE"] = "1"
    for step in (run_task, run_transfer):
        job = partial(step, folder=folder)
        if processes == 1:
            for task in tasks:
                job(task)
        else:
            with multiprocessing.get_context("spawn").Pool(processes) as pool:
                pool.map(job, tasks, chunksize=1)


if __name__ == "__main__":
    main()
