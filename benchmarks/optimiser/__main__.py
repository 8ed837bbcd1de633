"""`python -m benchmarks.optimiser list | run | seconds | report`."""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.optimiser.problems.catalogue import problem_names
from benchmarks.optimiser.proposers.catalogue import proposer_names
from benchmarks.optimiser.report import DOCS, write_report
from benchmarks.optimiser.results import FOLDER
from benchmarks.optimiser.run import Plan, run_plan
from benchmarks.optimiser.seconds import TimingPlan, run_timings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; give the exit status."""
    asked = _parser().parse_args(arguments)
    if asked.command == "list":
        print("problems:", *problem_names(), sep="\n  ")
        print("proposers:", *proposer_names(), sep="\n  ")
        return 0
    if asked.command == "report":
        write_report(asked.folder, document=DOCS / "optimiser.md", images=DOCS / "images")
        return 0
    torch.set_num_threads(asked.threads)
    if asked.command == "seconds":
        run_timings(
            TimingPlan(
                problem=asked.problem,
                proposers=asked.proposers,
                repetitions=asked.repetitions,
                minutes=asked.minutes,
                folder=asked.folder,
            )
        )
        return 0
    failed = run_plan(
        Plan(
            problems=asked.problems,
            proposers=asked.proposers,
            seeds=asked.seeds,
            trials=asked.trials,
            minutes=asked.minutes,
            folder=asked.folder,
        )
    )
    return int(failed > 0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.optimiser", description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where results are kept")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="name every problem and proposer")
    commands.add_parser("report", help="write docs/optimiser.md and its images from the results")
    run = commands.add_parser("run", help="run what is not there yet")
    run.add_argument(
        "--problems", nargs="+", default=problem_names(), choices=problem_names(), metavar="NAME"
    )
    run.add_argument("--seeds", type=int, default=10)
    run.add_argument("--trials", type=int, default=60)
    seconds = commands.add_parser("seconds", help="time suggestions, all proposers side by side")
    seconds.add_argument("--problem", default="simulated-peft-24-1", choices=problem_names(), metavar="NAME")
    seconds.add_argument("--repetitions", type=int, default=20)
    for command in (run, seconds):
        command.add_argument(
            "--proposers",
            nargs="+",
            default=proposer_names(),
            type=_proposer,
            metavar="NAME",
            help="listed names, or module:function with the signature of suggest",
        )
        command.add_argument("--minutes", type=float, default=math.inf, help="start nothing after this time")
        command.add_argument("--threads", type=int, default=1)
    return parser


def _proposer(name: str) -> str:
    if name not in proposer_names() and ":" not in name:
        raise argparse.ArgumentTypeError(f"no proposer {name!r}; there are {', '.join(proposer_names())}")
    return name


if __name__ == "__main__":
    raise SystemExit(main())
