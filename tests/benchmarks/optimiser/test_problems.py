"""Tables and test functions as problems: exact fronts, known costs, missing data."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from api_schemas.search_space import CategoricalParameter, OrdinalParameter
from benchmarks.optimiser.hypervolume import feasible
from benchmarks.optimiser.problems.botorch_functions import FUNCTIONS, botorch_function
from benchmarks.optimiser.problems.hpo_tables import _table_problem
from benchmarks.optimiser.problems.problem import BenchmarkProblem, ProblemUnavailable, columns_of
from benchmarks.optimiser.problems.recorded_table import recorded_table
from benchmarks.optimiser.run import normalised_history

SIZES = {
    "peft.serial_adapter.bottleneck_size": (0, 16),
    "peft.parallel_adapter.bottleneck_size": (0, 64),
}


def write_table(path: Path, *, drop: int = 0) -> Path:
    names = [*SIZES, "peft.active_layers.0", "peft.active_layers.1"]
    lines = []
    for values in itertools.product((0, 16), (0, 64), (False, True), (False, True)):
        size, on = values[0] + values[1], sum(values[2:])
        count = 770 + 100 * size * on
        metrics = {"score": 0.6 + 0.001 * min(size, 70) * on, "trainable_parameters": count, "loss": 0.5}
        lines.append({"parameters": dict(zip(names, values, strict=True)), "metrics": metrics})
    kept = lines[: len(lines) - drop]
    path.write_text("".join(json.dumps(line) + "\n" for line in kept))
    return path


def assert_consistent(problem: BenchmarkProblem) -> None:
    choices = [getattr(one, "choices", (False, True)) for one in problem.search_space.parameters]
    names = [one.name for one in problem.search_space.parameters]
    everything = [dict(zip(names, values, strict=True)) for values in itertools.product(*choices)]
    metrics = [problem.evaluate(one) or {} for one in everything]
    values = [tuple(one[objective.metric] for objective in problem.objectives) for one in metrics]
    assert normalised_history(problem, values)[-1] == pytest.approx(1.0)
    for name, known in problem.exact_metrics.items():
        expected = [one[name] for one in metrics]
        assert known(columns_of(problem.search_space, everything)).tolist() == expected


def test_a_recorded_table_is_a_whole_problem(tmp_path: Path) -> None:
    """All of its configurations reach the exact front; head-only spellings are one trial."""
    problem = recorded_table(write_table(tmp_path / "table-x.jsonl"))
    assert_consistent(problem)
    assert problem.name == "table-x"
    nothing = dict.fromkeys(SIZES, 0) | {"peft.active_layers.0": True, "peft.active_layers.1": False}
    assert problem.key(nothing) == problem.key(nothing | {"peft.active_layers.0": False})


def test_repeated_trials_of_a_table_count_as_their_mean(tmp_path: Path) -> None:
    """The full factorial spells the head alone several times; a second recording averages."""
    path = write_table(tmp_path / "table-x.jsonl")
    again = [json.loads(line) for line in path.read_text().splitlines()]
    for line in again:
        line["metrics"]["score"] += 0.1
    path.write_text(path.read_text() + "".join(json.dumps(line) + "\n" for line in again))
    largest = {"peft.serial_adapter.bottleneck_size": 16, "peft.parallel_adapter.bottleneck_size": 64}
    on = {"peft.active_layers.0": True, "peft.active_layers.1": True}
    assert (recorded_table(path).evaluate(largest | on) or {})["score"] == pytest.approx(0.79)


def test_a_missing_or_unfinished_table_says_so(tmp_path: Path) -> None:
    """It is skipped, never filled in."""
    with pytest.raises(ProblemUnavailable, match="not recorded"):
        recorded_table(tmp_path / "table-x.jsonl")
    with pytest.raises(ProblemUnavailable, match="9 of 10"):
        recorded_table(write_table(tmp_path / "table-x.jsonl", drop=1))


def test_a_lookup_table_finds_every_row() -> None:
    """Whatever the order of its choices; the best hypervolume is that of all rows."""
    problem = _table_problem(
        name="t",
        family="t",
        parameters=(
            CategoricalParameter(name="op", choices=("none", "add", "mul")),
            OrdinalParameter(name="width", choices=(1, 2, 8)),
        ),
        columns={
            "error_percent": np.array([9.0, 8, 7, 6, 5, 4, 3, 2, 1]),
            "trainable_parameters": np.array([10.0, 20, 30, 20, 30, 40, 80, 90, 10_000]),
        },
    )
    assert_consistent(problem)
    assert problem.evaluate({"op": "add", "width": 8}) == {"error_percent": 4.0, "trainable_parameters": 40.0}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_botorch_functions_evaluate_within_their_best(name: str) -> None:
    """Random points stay below the best hypervolume; constraints are metrics of the trial."""
    problem = botorch_function(name)
    rng = np.random.default_rng(0)
    values: list[tuple[float, ...] | None] = []
    for _ in range(3):
        drawn = {one.name: float(rng.uniform(one.low, one.high)) for one in problem.search_space.parameters}  # type: ignore[union-attr]
        metrics = problem.evaluate(drawn)
        assert metrics is not None
        kept = feasible(problem.constraints, metrics)
        values.append(tuple(metrics[one.metric] for one in problem.objectives) if kept else None)
    assert 0 <= normalised_history(problem, values)[-1] < 1
