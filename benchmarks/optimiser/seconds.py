"""Seconds per suggestion at 20, 50, 100 and 200 observations, all optimisers side by side.

Optimisers take turns within each repetition, so that load on the machine falls on all of them. Each
is told density samples, asked once uncounted (what it caches between suggestions is then warm),
told the answer, and timed on the next suggestion.
"""

import random
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.optimiser.problems.catalogue import problem_named
from benchmarks.optimiser.problems.problem import BenchmarkProblem
from benchmarks.optimiser.proposers.catalogue import proposer_named
from benchmarks.optimiser.results import SuggestionSeconds, append, read_seconds
from benchmarks.optimiser.run import now, this_command, versions_of
from service.optimization.candidates import density_sample

OBSERVATIONS = (20, 50, 100, 200)
FILE = "seconds.jsonl"


@dataclass(frozen=True)
class TimingPlan:
    """What to time, and for at most so many minutes."""

    problem: str
    proposers: Sequence[str]
    repetitions: int
    minutes: float
    folder: Path


def run_timings(plan: TimingPlan) -> None:
    """Time what the folder does not hold yet; one line for each suggestion."""
    ends_at = time.monotonic() + 60 * plan.minutes
    path = plan.folder / FILE
    done = {
        (timing.proposer, timing.observations, timing.repetition)
        for timing in read_seconds(path)
        if timing.problem == plan.problem
    }
    todo = [
        (repetition, count, proposer)
        for repetition in range(plan.repetitions)
        for count in OBSERVATIONS
        for proposer in plan.proposers
        if (proposer, count, repetition) not in done
    ]
    problem = problem_named(plan.problem)
    for proposer in plan.proposers:
        # The first suggestion of a process loads and compiles; nobody's counts.
        time_suggestion(problem, proposer, observations=OBSERVATIONS[0], seed=-1)
    for position, (repetition, count, proposer) in enumerate(todo):
        if time.monotonic() > ends_at:
            print(f"time is up: {len(todo) - position} timings are left")
            return
        seconds = time_suggestion(problem, proposer, observations=count, seed=repetition)
        print(f"[{position + 1}/{len(todo)}] {proposer} at {count}: {seconds:.3f} s", flush=True)
        append(
            path,
            SuggestionSeconds(
                problem=plan.problem,
                proposer=proposer,
                observations=count,
                repetition=repetition,
                seconds=round(seconds, 4),
                versions=versions_of(proposer),
                threads=torch.get_num_threads(),
                command=this_command(),
                ended=now(),
            ),
        )


def time_suggestion(problem: BenchmarkProblem, name: str, *, observations: int, seed: int) -> float:
    """Return the seconds of the second suggestion after so many observations."""
    proposer = proposer_named(name)(problem, max(seed, 0))
    rng = random.Random(f"seconds/{seed}")  # noqa: S311  data, not a secret
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for parameterization in density_sample(problem.search_space, observations - 1, rng=rng):
            proposer.tell(parameterization, problem.evaluate(parameterization))
        warm = proposer.ask()
        proposer.tell(warm, problem.evaluate(warm))
        started = time.perf_counter()
        proposer.ask()
        return time.perf_counter() - started
