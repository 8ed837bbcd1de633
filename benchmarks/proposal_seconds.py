"""Seconds per suggestion on AutoPEFT-shaped spaces: `python -m benchmarks.proposal_seconds`."""

import argparse
import random
import statistics
import time

import torch

from service.optimization.candidates import density_sample
from service.optimization.suggest import suggest
from tests.service.optimization.problems import autopeft_problem, observe, simulated_score


def main() -> None:
    """Print the median and the slowest of some suggestions, after one that is not counted."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--layers", type=int, nargs="+", default=[6, 12, 24])
    parser.add_argument("--observations", type=int, nargs="+", default=[24, 100])
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for layers in arguments.layers:
        for count in arguments.observations:
            seconds = measure(layers, count, arguments.repetitions)
            print(
                f"layers {layers:>2}  observations {count:>3}  median {statistics.median(seconds):.2f} s  "
                f"max {max(seconds):.2f} s  ({arguments.repetitions} repetitions, {arguments.threads} thread)"
            )


def measure(layers: int, count: int, repetitions: int) -> list[float]:
    """Time suggestions after the same number of observations, each with another seed."""
    problem = autopeft_problem(layers)
    drawn = density_sample(problem.search_space, count, rng=random.Random(0))  # noqa: S311
    observations = [
        observe(problem, values, lambda values: simulated_score(values, layers)) for values in drawn
    ]
    seconds = []
    for seed in range(repetitions + 1):
        started = time.perf_counter()
        suggest(problem, observations, pending=[], count=1, seed=seed)
        seconds.append(time.perf_counter() - started)
    return seconds[1:]


if __name__ == "__main__":
    main()
