"""Does the believed front report better trials than the observed one? `python -m benchmarks.believed_front`.

Searches by `suggest` measure a known function with normal noise. Of each search, both fronts are taken; what
counts is the hypervolume of their members' values without noise, as a share of the best that is possible.
The first two trials have three seeds. The models infer the noise, or are told what is expected
of a share of 400 rows, what the seeds of the two say, both, or the truth; a second search is told both from
its start. `run` appends a line of JSON for each search that is not there yet; `report` prints means over the
seeds, paired differences with their standard errors, and how often trials that are said to be on the front
with some chance truly are: no other trial of the search dominates their value without noise.
"""

import argparse
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, product
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np

from benchmarks import json_lines
from benchmarks.optimiser.hypervolume import hypervolume
from benchmarks.optimiser.problems.catalogue import problem_named
from benchmarks.optimiser.problems.problem import BenchmarkProblem, engine_problem
from service.optimization.believed_front import believe
from service.optimization.problem import Observation, Problem
from service.optimization.suggest import suggest
from service.trials import replicate_statistics
from service.trials.pareto_front import front_members

PROBLEMS = ("simulated-peft-12-7", "simulated-peft-24-8", "table-rotten-tomatoes")
NOISES = (0.015, 0.03)
"""Standard deviations of a score or an error, which are shares: what seeds and 400 rows move it by."""
SEEDS = 24
TRIALS = 32
ARMS = ("inferred", "expected", "pooled", "told", "known")
BINS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
RESULTS = Path(__file__).parent / "results" / "believed_front.jsonl"

ROWS, PROBES, PROBE_SEEDS = 400, 2, 3
"""Metrics are taken for shares of so many rows; the first trials have several seeds."""

Metrics = Mapping[str, float]
Tell = Callable[[Observation], Observation]


def main() -> None:
    """Run what is missing, or report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("run", "report"))
    parser.add_argument("--problems", nargs="+", default=PROBLEMS)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    asked = parser.parse_args()
    if asked.what == "report":
        report(json_lines.read(RESULTS))
        return
    known = {(line["problem"], line["noise"], line["seed"]) for line in json_lines.read(RESULTS)}
    for name, noise, seed in product(asked.problems, NOISES, range(asked.seeds)):
        if (name, noise, seed) not in known:
            line = {"problem": name, "noise": noise, "seed": seed}
            json_lines.append(RESULTS, line | searched(problem_named(name), noise=noise, seed=seed))


def searched(problem: BenchmarkProblem, *, noise: float, seed: int) -> dict[str, Any]:
    """Search twice, with noise inferred and with noise told; return what each front is worth."""
    blind = _search(problem, noise=noise, seed=seed, tell=_nothing)
    informed = _search(problem, noise=noise, seed=seed, tell=_expected)
    known = {objective.metric: noise for objective in problem.objectives}
    arms = {
        "inferred": [_nothing(one) for one in blind.observations],
        "expected": [replace(_expected(one), standard_errors=None, seeds=1) for one in blind.observations],
        "pooled": [_seeds_only(one) for one in blind.observations],
        "told": [_expected(one) for one in blind.observations],
        "known": [_exactly(one, known) for one in blind.observations],
    }
    return {
        **_fronts(problem, blind),
        **{name: judged(problem, blind, told, seed=seed) for name, told in arms.items()},
        "search_told": _fronts(problem, informed)
        | judged(problem, informed, [_expected(one) for one in informed.observations], seed=seed),
    }


@dataclass(frozen=True)
class Search:
    """What a search tried: observations with all that is known of their noise, and values without noise."""

    engine: Problem
    observations: Sequence[Observation]
    truths: Sequence[Metrics]


def _search(problem: BenchmarkProblem, *, noise: float, seed: int, tell: Tell) -> Search:
    engine, rng = engine_problem(problem), np.random.default_rng([seed, 1])
    observations: list[Observation] = []
    truths: list[Metrics] = []
    while len(truths) < TRIALS:
        (one,) = suggest(engine, [tell(seen) for seen in observations], pending=(), count=1, seed=seed)
        truth = problem.evaluate(one.parameterization)
        seeds = PROBE_SEEDS if len(truths) < PROBES else 1
        observation = Observation(one.parameterization, None, key=engine.key(one.parameterization))
        if truth is not None:
            observation = _measured(problem, observation, truth, noise=noise, seeds=seeds, rng=rng)
        observations.append(observation)
        truths.append(truth or {})
    return Search(engine, observations, truths)


def _measured(
    problem: BenchmarkProblem,
    observation: Observation,
    truth: Metrics,
    *,
    noise: float,
    seeds: int,
    rng: np.random.Generator,
) -> Observation:
    """Return the means over seeds with their errors, and the binomial error of a share of so many rows."""
    draws = [_with_noise(problem, truth, noise=noise, rng=rng) for _ in range(seeds)]
    means = replicate_statistics.means(draws)
    noisy = [name for name in truth if name not in problem.exact_metrics]
    shares = {name: min(max(means[name], 0.5 / ROWS), 1 - 0.5 / ROWS) for name in noisy}
    return replace(
        observation,
        metrics=means,
        standard_errors=replicate_statistics.standard_errors(draws) or None,
        seeds=seeds,
        row_errors={name: math.sqrt(share * (1 - share) / ROWS) for name, share in shares.items()},
    )


def _nothing(one: Observation) -> Observation:
    return replace(one, standard_errors=None, row_errors=None, seeds=1)


def _seeds_only(one: Observation) -> Observation:
    return replace(one, row_errors=None)


def _expected(one: Observation) -> Observation:
    return one


def _exactly(one: Observation, noise: Metrics) -> Observation:
    errors = {name: value / math.sqrt(one.seeds) for name, value in noise.items()}
    return replace(one, standard_errors=errors, row_errors=None)


def _fronts(problem: BenchmarkProblem, search: Search) -> dict[str, float]:
    measured = [row for row, one in enumerate(search.observations) if one.metrics is not None]
    observed = [search.observations[row].metrics or {} for row in measured]
    members = front_members(problem.objectives, observed)
    return {
        "observed": _share(problem, [search.truths[measured[place]] for place in members]),
        "every": _share(problem, [search.truths[row] for row in measured]),
    }


def judged(
    problem: BenchmarkProblem, search: Search, observations: Sequence[Observation], *, seed: int
) -> dict[str, Any]:
    """Return the true hypervolume of the believed front, and each trial's chance beside the truth."""
    truth_of = {
        one.key: truth
        for one, truth in zip(observations, search.truths, strict=True)
        if one.metrics is not None
    }
    beliefs = believe(search.engine, observations, succeeded=truth_of.keys(), compared_with=None, seed=seed)
    assert beliefs is not None
    believed = [truth_of[key] for key in beliefs.keys]
    truly = set(front_members(problem.objectives, believed))
    return {
        "believed": _share(problem, [believed[place] for place in beliefs.members]),
        "chances": [round(chance, 4) for chance in beliefs.front_probabilities],
        "truly": [place in truly for place in range(len(believed))],
    }


def report(lines: Sequence[Mapping[str, Any]]) -> None:
    """Print the tables."""
    print(f"| problem | noise | searches | observed | {' | '.join(ARMS)} | all trials | search told |")
    print("| --- " + "| ---: " * (len(ARMS) + 5) + "|")
    for name, noise in sorted({(line["problem"], line["noise"]) for line in lines}):
        found = [line for line in lines if (line["problem"], line["noise"]) == (name, noise)]
        observed, every = (fmean(line[kind] for line in found) for kind in ("observed", "every"))
        gains = " | ".join(_gain(found, kind) for kind in ARMS)
        told = _gain(found, "search_told")
        print(f"| {name} | {noise} | {len(found)} | {observed:.3f} | {gains} | {every:.3f} | {told} |")
    for kind in (*ARMS, "search_told"):
        print(f"\n| chance said, noise {kind} | trials | mean chance | truly on the front |")
        print("| --- | ---: | ---: | ---: |")
        pairs = [
            pair for line in lines for pair in zip(line[kind]["chances"], line[kind]["truly"], strict=True)
        ]
        for low, high in pairwise(BINS):
            inside = [pair for pair in pairs if low <= pair[0] < high or pair[0] == high == 1.0]
            if inside:
                said, true = fmean(chance for chance, _ in inside), fmean(truly for _, truly in inside)
                print(f"| {low} to {high} | {len(inside)} | {said:.2f} | {true:.2f} |")


def _gain(lines: Sequence[Mapping[str, Any]], kind: str) -> str:
    gains = [line[kind]["believed"] - line["observed"] for line in lines]
    error = stdev(gains) / math.sqrt(len(gains)) if len(gains) > 1 else math.nan
    return f"{fmean(line[kind]['believed'] for line in lines):.3f} ({fmean(gains):+.3f} ± {error:.3f})"


def _with_noise(
    problem: BenchmarkProblem, truth: Metrics, *, noise: float, rng: np.random.Generator
) -> dict[str, float]:
    return {
        name: value if name in problem.exact_metrics else value + noise * float(rng.standard_normal())
        for name, value in truth.items()
    }


def _share(problem: BenchmarkProblem, points: Sequence[Metrics]) -> float:
    names = [objective.metric for objective in problem.objectives]
    values = np.array([[point[name] for name in names] for point in points])
    return round(hypervolume(problem.objectives, values) / problem.best_hypervolume, 5)


if __name__ == "__main__":
    main()
