"""A full factorial of real trials on MiniLM, recorded with our own worker, as a problem.

Every configuration was fine-tuned, so the exact front is that of the table, training noise included.
"""

from collections import defaultdict
from collections.abc import Hashable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from api_schemas.objectives import Objective
from api_schemas.search_space import (
    BoolParameter,
    OrdinalParameter,
    Parameter,
    Parameterization,
    ParameterValue,
    SearchSpace,
)
from benchmarks import json_lines
from benchmarks.optimiser.hypervolume import hypervolume
from benchmarks.optimiser.problems.problem import (
    BenchmarkProblem,
    Columns,
    ProblemUnavailable,
)

TABLE = Path(__file__).parents[2] / "recorded" / "table-rotten-tomatoes.jsonl"
REFERENCE_MARGIN = 0.02
"""The reference score lies this far below the head's alone."""

METRICS = ("score", "trainable_parameters")
HEAD_ONLY = "head only"
LAYER = "peft.active_layers."

Table = Mapping[Hashable, Mapping[str, float]]


def recorded_table(path: Path = TABLE) -> BenchmarkProblem:
    """Read the table; several trials of one configuration count as their mean.

    Raises:
        ProblemUnavailable: the table has not been recorded, or lacks configurations.
    """
    if not json_lines.exists(path):
        raise ProblemUnavailable(f"{path.name} is not recorded yet; see benchmarks.record_trials")
    lines = json_lines.read(path)
    trials = [(line["parameters"], line["metrics"]) for line in lines if line["metrics"]]
    space = _space([parameters for parameters, _ in trials])
    table = _table(trials)
    _check_complete(space, table)
    objectives = (
        _objective("score", "maximize", table[HEAD_ONLY]["score"] - REFERENCE_MARGIN),
        _objective(
            "trainable_parameters", "minimize", max(row["trainable_parameters"] for row in table.values())
        ),
    )
    values = np.array([[row[metric] for metric in METRICS] for row in table.values()])
    return BenchmarkProblem(
        name=path.stem,
        family="recorded",
        search_space=space,
        objectives=objectives,
        constraints=(),
        exact_metrics={"trainable_parameters": partial(_known, space=space, table=table)},
        evaluate=lambda parameterization: dict(table[canonical_key(parameterization)]),
        key=canonical_key,
        best_hypervolume=hypervolume(objectives, values),
        best_is=f"the exact front: {len(table)} recorded configurations",
    )


def canonical_key(parameterization: Parameterization) -> Hashable:
    """Return equal keys to configurations that train the same modules."""
    sizes = tuple(value for name, value in sorted(parameterization.items()) if not name.startswith(LAYER))
    on = tuple(sorted(name for name, value in parameterization.items() if name.startswith(LAYER) and value))
    return (sizes, on) if any(sizes) and on else HEAD_ONLY


def _table(trials: list[tuple[Parameterization, dict[str, float]]]) -> Table:
    grouped: dict[Hashable, list[dict[str, float]]] = defaultdict(list)
    for parameters, metrics in trials:
        grouped[canonical_key(parameters)].append(metrics)
    return {
        key: {metric: float(np.mean([row[metric] for row in rows])) for metric in METRICS}
        for key, rows in grouped.items()
    }


def _space(parameterizations: list[Parameterization]) -> SearchSpace:
    seen: dict[str, set[ParameterValue]] = defaultdict(set)
    for parameterization in parameterizations:
        for name, value in parameterization.items():
            seen[name].add(value)
    return SearchSpace(parameters=tuple(_parameter(name, values) for name, values in seen.items()))


def _parameter(name: str, values: set[ParameterValue]) -> Parameter:
    if values <= {False, True} and name.startswith(LAYER):
        return BoolParameter(name=name)
    return OrdinalParameter.model_validate({"name": name, "choices": sorted(map(int, values))})


def _check_complete(space: SearchSpace, table: Table) -> None:
    sizes = [one for one in space.parameters if isinstance(one, OrdinalParameter)]
    switches = len(space.parameters) - len(sizes)
    combinations = int(np.prod([len(one.choices) for one in sizes])) - 1
    wanted = combinations * (2**switches - 1) + 1
    if len(table) < wanted:
        raise ProblemUnavailable(f"the table has {len(table)} of {wanted} configurations; record the rest")


def _objective(metric: str, direction: str, reference: float) -> Objective:
    return Objective.model_validate({"metric": metric, "direction": direction, "reference": reference})


def _known(columns: Columns, *, space: SearchSpace, table: Table) -> NDArray[np.float64]:
    names = [one.name for one in space.parameters]
    rows = zip(*(columns[name].tolist() for name in names), strict=True)
    keys = (canonical_key(dict(zip(names, row, strict=True))) for row in rows)
    return np.array([table[key]["trainable_parameters"] for key in keys])
