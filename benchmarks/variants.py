"""Ways of using the optimiser, paired by seed: `python -m benchmarks.variants`.

On the simulated AutoPEFT spaces: one trial at a time with the cost known (`known`), the same with the
cost modelled like any measured metric (`modelled`), and with four trials pending all the time
(`pending`). Prints the area under the hypervolume curve of each and the paired differences.
"""

import argparse
import statistics
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from scipy.stats import t as student_t

from api_schemas.search_space import Parameterization
from benchmarks.optimiser.hypervolume import hypervolume
from benchmarks.optimiser.problems.catalogue import problem_named
from benchmarks.optimiser.problems.problem import BenchmarkProblem, engine_problem
from service.optimization.problem import Observation
from service.optimization.suggest import suggest

VARIANTS = {"known": (True, 1), "modelled": (False, 1), "pending": (True, 4)}
"""Whether the cost is known, and how many trials are open when one is proposed, itself included."""


def main() -> None:
    """Run every variant with every seed, and compare with `known`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--problems", nargs="+", default=["simulated-peft-12-0", "simulated-peft-24-1"])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--trials", type=int, default=60)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name in arguments.problems:
        problem = problem_named(name)
        curves: dict[str, list[list[float]]] = {variant: [] for variant in VARIANTS}
        for seed in range(arguments.seeds):
            for variant, (known, open_trials) in VARIANTS.items():
                curves[variant].append(
                    curve(problem, known=known, open_trials=open_trials, trials=arguments.trials, seed=seed)
                )
            last = {variant: round(found[-1][-1], 3) for variant, found in curves.items()}
            print(name, "seed", seed, last, flush=True)
        for variant in VARIANTS:
            report(name, variant, curves[variant], curves["known"])


def curve(problem: BenchmarkProblem, *, known: bool, open_trials: int, trials: int, seed: int) -> list[float]:
    """Return the normalised hypervolume after each trial; trials end in the order of their start."""
    asked = engine_problem(problem)
    asked = asked if known else replace(asked, exact_metrics={})
    waiting: list[Parameterization] = []
    ended: list[Observation] = []
    found = []
    while len(ended) < trials:
        if len(ended) + len(waiting) < trials:
            (suggestion,) = suggest(asked, ended, pending=waiting, count=1, seed=seed)
            waiting.append(suggestion.parameterization)
        if len(waiting) == open_trials or len(ended) + len(waiting) == trials:
            parameterization = waiting.pop(0)
            ended.append(Observation(parameterization, problem.evaluate(parameterization)))
            values = [
                [item.metrics[one.metric] for one in problem.objectives] for item in ended if item.metrics
            ]
            found.append(hypervolume(problem.objectives, np.array(values)) / problem.best_hypervolume)
    return found


def report(
    name: str, variant: str, curves: Sequence[Sequence[float]], base: Sequence[Sequence[float]]
) -> None:
    """Print the mean area and last value, and the paired difference of areas with its 95 % interval."""
    areas = [statistics.fmean(found) for found in curves]
    differences = [area - statistics.fmean(found) for area, found in zip(areas, base, strict=True)]
    half = float(student_t.ppf(0.975, len(areas) - 1)) * statistics.stdev(differences) / len(areas) ** 0.5
    print(
        f"{name:<20} {variant:<9} area {statistics.fmean(areas):.4f}  last "
        f"{statistics.fmean(found[-1] for found in curves):.4f}  area against known "
        f"{statistics.fmean(differences):+.4f} +- {half:.4f}"
    )


if __name__ == "__main__":
    main()
