"""How sure are models of real trials who is better? `python -m benchmarks.believed_pairs`.

Reads the recorded searches of `benchmarks.autopeft`. The models see the 32 validation scores of a search, one
seed each, and say of each two configurations that were tested later by how much they differ. The truth is
the difference of their mean test scores over five fresh seeds. Deviations are right if the errors, divided
by them, have a root mean square of 1; chances, if of pairs said to be better with chance p, p are. The noise
is inferred, or told by what is expected of seeds and rows.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations, pairwise
from statistics import fmean, variance
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr

from api_schemas.objectives import Metric
from benchmarks.autopeft.protocol import SEARCH_TRIALS, SEARCHED_RATES, TASKS, VALIDATION_ROWS
from benchmarks.autopeft.results import FOLDER, Trial, path_of, read_trials
from benchmarks.autopeft.run import SEARCHED_NAME, Bench, observations, open_bench, problem_of
from service.optimization.believed_front import posterior
from service.optimization.encoded_problem import EncodedProblem
from service.optimization.problem import Observation, Problem
from service.optimization.surrogate import fit_surrogate
from service.trials.front_certainty import binomial_errors

BINS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.97, 1.0)


class Pair(NamedTuple):
    """What is believed of a difference, and what it is up to `error`, the standard error of the truth."""

    believed: float
    deviation: float
    truth: float
    error: float


def main() -> None:
    """Print both tables."""
    found: dict[str, list[Pair]] = defaultdict(list)
    noises: dict[str, list[float]] = defaultdict(list)
    for task in TASKS:
        opened = open_bench(task, folder=FOLDER)
        for preset in SEARCHED_RATES:
            bench = replace(opened, preset=preset, trials=read_trials(path_of(FOLDER, task, preset=preset)))
            problem = problem_of(bench)
            seen = observations(bench, problem, before=SEARCH_TRIALS)
            for kind, told in (("inferred", seen), ("expected", [with_rows(one) for one in seen])):
                pairs, noise = pairs_of(bench, problem, told)
                found[kind] += pairs
                noises[kind].append(noise)
    print("| noise | deviation of one score | pairs | root mean square of error / deviation |")
    print("| --- | ---: | ---: | ---: |")
    for kind, pairs in found.items():
        z = [(one.believed - one.truth) / math.hypot(one.deviation, one.error) for one in pairs]
        scatter = math.sqrt(fmean(x * x for x in z))
        lowest, highest = min(noises[kind]), max(noises[kind])
        print(f"| {kind} | {lowest:.4f} to {highest:.4f} | {len(z)} | {scatter:.2f} |")
    for kind, pairs in found.items():
        print(f"\n| chance said, noise {kind} | pairs | mean chance | truly better |")
        print("| --- | ---: | ---: | ---: |")
        for low, high in pairwise(BINS):
            inside = [
                (chance, right)
                for chance, right in map(verdict, pairs)
                if low <= chance < high or chance == high == 1.0
            ]
            if inside:
                said, true = fmean(chance for chance, _ in inside), fmean(right for _, right in inside)
                print(f"| {low} to {high} | {len(inside)} | {said:.2f} | {true:.2f} |")


def with_rows(one: Observation) -> Observation:
    """Add the binomial error of the validation rows."""
    if one.metrics is None:
        return one
    errors = binomial_errors(np.array([one.metrics[Metric.SCORE]]), VALIDATION_ROWS)
    return replace(one, row_errors={Metric.SCORE: float(errors[0])})


def pairs_of(bench: Bench, problem: Problem, seen: Sequence[Observation]) -> tuple[list[Pair], float]:
    """Return the pairs of tested configurations, and the noise of one score by the model."""
    encoded = EncodedProblem(problem, seen, seed=0)
    surrogate = fit_surrogate(
        encoded.X, encoded.Y, outcomes=encoded.outcomes, variances=encoded.variances, seed=0
    )
    tested = tests_of(bench.trials.values())
    numbers = [number for number, one in enumerate(seen) if one.metrics is not None]
    rows = [row for row, number in enumerate(numbers) if SEARCHED_NAME.format(number=number) in tested]
    scores = [tested[SEARCHED_NAME.format(number=numbers[row])] for row in rows]
    means, covariances = posterior(encoded, surrogate, rows)
    covariance = covariances[0]
    assert covariance is not None
    pairs = []
    for i, j in combinations(range(len(rows)), 2):
        deviation = math.sqrt(float(covariance[i, i] + covariance[j, j] - 2 * covariance[i, j]))
        truth = fmean(scores[i]) - fmean(scores[j])
        # Of the test rows, only what is a configuration's own counts, as on validation.
        error = math.sqrt(sum(variance(one) / len(one) for one in (scores[i], scores[j])))
        pairs.append(Pair(float(means[i, 0] - means[j, 0]), deviation, truth, error))
    return pairs, math.sqrt(surrogate.process(0).noise_variance)


def tests_of(trials: Iterable[Trial]) -> Mapping[str, list[float]]:
    """Return the test scores of what was tested, by the trial of the search that it was chosen from."""
    tested: dict[str, list[float]] = defaultdict(list)
    for trial in trials:
        if trial.phase == "searched" and trial.test_score is not None:
            tested[trial.origin].append(trial.test_score)
    return tested


def verdict(pair: Pair) -> tuple[float, bool]:
    """Return the chance of the one that is believed to be better, and whether it is."""
    chance = float(ndtr(abs(pair.believed) / pair.deviation))
    return chance, pair.believed * pair.truth > 0


if __name__ == "__main__":
    main()
