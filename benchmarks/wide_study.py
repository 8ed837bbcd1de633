"""Time and memory of a suggestion and of parameter importance in a wide study.

`python -m benchmarks.wide_study [--results N ...]`; the space has 40 parameters with 1,000 choices each, the
suggestion 10 s. Each number of results is measured in its own process.
"""

import argparse
import multiprocessing
import random
import resource
import time

import torch

from service.optimization.importance import weigh_parameters
from service.optimization.problem import Observation, Problem
from service.optimization.proposers.even_draws import even_draws
from service.optimization.suggest import suggest
from tests.service.optimization.problems import problem_on

PARAMETERS, CHOICES = 40, 1000
TIME_LIMIT_SECONDS, FITTING_SECONDS = 10.0, 60.0


def main() -> None:
    """Print a line for each number of results."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--results", type=int, nargs="+", default=[40, 120, 600])
    for count in parser.parse_args().results:
        process = multiprocessing.get_context("spawn").Process(target=measure, args=(count,))
        process.start()
        process.join()


def measure(count: int) -> None:
    """Print the seconds, and the megabytes above those of the imports."""
    torch.set_num_threads(1)
    choices = [f"choice {number}" for number in range(CHOICES)]
    problem = problem_on(
        [{"type": "categorical", "name": f"p{number}", "choices": choices} for number in range(PARAMETERS)]
    )
    observations = observed(problem, count)
    before = _largest_megabytes()
    began = time.perf_counter()
    suggest(problem, observations, pending=[], count=1, seed=0, time_limit_seconds=TIME_LIMIT_SECONDS)
    suggested, after = time.perf_counter(), _largest_megabytes()
    weigh_parameters(problem, observations, earlier=(), seed=0, time_limit_seconds=FITTING_SECONDS)
    print(
        f"{count} results: a suggestion {suggested - began:.1f} s and {after - before:.0f} MB, "
        f"importance {time.perf_counter() - suggested:.1f} s and {_largest_megabytes() - before:.0f} MB"
    )


def observed(problem: Problem, count: int) -> list[Observation]:
    """Draw parameterizations, each with a random value for each objective."""
    chance = random.Random(0)  # noqa: S311  no secret
    return [
        Observation(values, {objective.metric: 1 + chance.random() for objective in problem.objectives})
        for values in even_draws(problem.search_space, count, rng=chance)
    ]


def _largest_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
