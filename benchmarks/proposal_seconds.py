"""Seconds per suggestion on AutoPEFT-shaped spaces: `python -m benchmarks.proposal_seconds`."""

import argparse
import itertools
import random
import statistics
import time
from collections import Counter

import torch

from service.optimization.candidates import density_sample
from service.optimization.problem import Observation, Problem
from service.optimization.suggest import suggest
from tests.service.optimization.problems import autopeft_problem, candidates, simulated_score


def main() -> None:
    """Print the median and the slowest of some suggestions, after one that is not counted."""
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--layers", type=int, nargs="+", default=[6, 12, 24], help="three parameters more each"
    )
    parser.add_argument("--observations", type=int, nargs="+", default=[24, 100])
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--time-limit", type=float, default=10.0, help="seconds, as of a study")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for layers, count in itertools.product(arguments.layers, arguments.observations):
        timed = measure(layers, count, repetitions=arguments.repetitions, time_limit=arguments.time_limit)
        seconds = [each for each, _ in timed]
        ways = ", ".join(f"{name} {number}" for name, number in Counter(way for _, way in timed).items())
        print(
            f"layers {layers:>3}  observations {count:>4}  median {statistics.median(seconds):.2f} s  "
            f"max {max(seconds):.2f} s  {ways}  ({arguments.threads} thread)",
            flush=True,
        )


def measure(layers: int, count: int, *, repetitions: int, time_limit: float) -> list[tuple[float, str]]:
    """Time suggestions after the same observations, each with another seed; say how each was generated."""
    problem = autopeft_problem(layers)
    observations = observed(problem, layers, count)
    timed = []
    for seed in range(repetitions + 1):
        started = time.perf_counter()
        (suggestion,) = suggest(
            problem, observations, pending=[], count=1, seed=seed, time_limit_seconds=time_limit
        )
        timed.append((time.perf_counter() - started, suggestion.generated_by))
    return timed[1:]


def observed(problem: Problem, layers: int, count: int) -> list[Observation]:
    """Draw configurations from sparse to dense, with what trials of the simulation would report."""
    drawn = density_sample(problem.search_space, count, rng=random.Random(0))  # noqa: S311
    table = candidates(problem, drawn)
    known = {metric: function(table).tolist() for metric, function in problem.exact_metrics.items()}
    return [
        Observation(
            values,
            {"score": simulated_score(values, layers)}
            | {metric: each[row] for metric, each in known.items()},
            key=problem.key(values),
        )
        for row, values in enumerate(drawn)
    ]


if __name__ == "__main__":
    main()
