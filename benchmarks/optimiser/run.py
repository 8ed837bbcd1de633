"""Run optimisers on problems, one trial at a time, and keep every finished run."""

import importlib.metadata
import platform
import random
import shlex
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

from benchmarks.optimiser.hypervolume import feasible, hypervolume
from benchmarks.optimiser.problems.catalogue import problem_named
from benchmarks.optimiser.problems.problem import BenchmarkProblem, ProblemUnavailable
from benchmarks.optimiser.proposers.catalogue import distributions_of, proposer_named
from benchmarks.optimiser.proposers.proposer import MakeProposer, ProposerUnavailable
from benchmarks.optimiser.results import Run, append, missing, read_runs

RUN_FAILURES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What a library may raise in the middle of a run. The run is lost and named; the rest goes on."""


@dataclass(frozen=True)
class Plan:
    """What to run: every problem with every optimiser and seed, for at most so many minutes."""

    problems: Sequence[str]
    proposers: Sequence[str]
    seeds: int
    trials: int
    minutes: float
    folder: Path


def run_plan(plan: Plan) -> int:
    """Run what the folder does not hold yet; give the number of runs that failed.

    Seeds come first, so a plan that runs out of time has compared everything on fewer seeds.
    """
    ends_at = time.monotonic() + 60 * plan.minutes
    todo = _todo(plan)
    failures: list[str] = []
    for position, (problem, proposer, seed) in enumerate(todo):
        if time.monotonic() > ends_at:
            print(f"time is up: {len(todo) - position} runs are left")
            break
        label = f"[{position + 1}/{len(todo)}] {problem} {proposer} seed {seed}"
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                make = proposer_named(proposer)
                run = run_one(problem_named(problem), proposer, make, seed=seed, trials=plan.trials)
        except RUN_FAILURES as error:
            failures.append(f"{label}: {type(error).__name__}: {error}")
            print(failures[-1], flush=True)
            continue
        append(plan.folder / f"{problem}.jsonl", run)
        print(
            f"{label}: hypervolume {run.hypervolume[-1]:.3f}, {sum(run.seconds):.1f} s of thinking",
            flush=True,
        )
    if failures:
        print(f"{len(failures)} runs failed:", *failures, sep="\n")
    return len(failures)


def run_one(problem: BenchmarkProblem, name: str, make: MakeProposer, *, seed: int, trials: int) -> Run:
    """Let one optimiser propose so many trials, and measure its front after each."""
    _seed_globals(seed)
    proposer = make(problem, seed)
    values: list[tuple[float, ...] | None] = []
    seconds, keys = [], []
    for _ in range(trials):
        started = time.perf_counter()
        parameterization = proposer.ask()
        seconds.append(round(time.perf_counter() - started, 4))
        keys.append(problem.key(parameterization))
        metrics = problem.evaluate(parameterization)
        proposer.tell(parameterization, metrics)
        kept = metrics is not None and feasible(problem.constraints, metrics)
        values.append(tuple(metrics[one.metric] for one in problem.objectives) if metrics and kept else None)
    return Run(
        problem=problem.name,
        proposer=name,
        seed=seed,
        trials=trials,
        hypervolume=tuple(round(share, 6) for share in normalised_history(problem, values)),
        seconds=tuple(seconds),
        values=tuple(values),
        repeats=len(keys) - len(set(keys)),
        versions=versions_of(name),
        threads=torch.get_num_threads(),
        command=this_command(),
        ended=now(),
    )


def normalised_history(problem: BenchmarkProblem, values: Sequence[tuple[float, ...] | None]) -> list[float]:
    """Return the share of the best possible hypervolume after each trial."""
    history: list[float] = []
    front: list[tuple[float, ...]] = []
    for row in values:
        if row is not None:
            front.append(row)
        unchanged = row is None and history
        measured = history[-1] if unchanged else _share(problem, front)
        history.append(measured)
    return history


def versions_of(proposer: str) -> dict[str, str]:
    """Return the versions that a result depends on."""
    packages = {name: importlib.metadata.version(name) for name in distributions_of(proposer)}
    return {"python": platform.python_version(), "numpy": np.__version__} | packages


def this_command() -> str:
    """Return the command line as a person would type it."""
    return shlex.join(["python", "-m", "benchmarks.optimiser", *sys.argv[1:]])


def now() -> str:
    """Return the time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _todo(plan: Plan) -> list[tuple[str, str, int]]:
    proposers = _available_proposers(plan.proposers)
    by_problem = {
        name: missing(
            read_runs(plan.folder / f"{name}.jsonl"), proposers, seeds=plan.seeds, trials=plan.trials
        )
        for name in _available_problems(plan.problems)
    }
    return [
        (problem, proposer, seed)
        for wanted in range(plan.seeds)
        for problem, pairs in by_problem.items()
        for seed, proposer in pairs
        if seed == wanted
    ]


def _available_problems(names: Sequence[str]) -> list[str]:
    available = []
    for name in names:
        try:
            problem_named(name)
        except ProblemUnavailable as reason:
            print(f"skipped {name}: {reason}")
        else:
            available.append(name)
    return available


def _available_proposers(names: Sequence[str]) -> list[str]:
    available = []
    for name in names:
        try:
            proposer_named(name)
        except ProposerUnavailable as reason:
            print(f"skipped {name}: {reason}")
        else:
            available.append(name)
    return available


def _share(problem: BenchmarkProblem, front: Sequence[tuple[float, ...]]) -> float:
    if not front:
        return 0.0
    return hypervolume(problem.objectives, np.array(front, dtype=np.float64)) / problem.best_hypervolume


def _seed_globals(seed: int) -> None:
    # Some libraries draw from the global generators.
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
