"""Runs of the benchmark: what is measured, kept, skipped and survived."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from api_schemas.search_space import Parameterization
from benchmarks.optimiser import run
from benchmarks.optimiser.problems.problem import BenchmarkProblem
from benchmarks.optimiser.problems.simulated_peft import draw_instance, exact_front, simulated_peft
from benchmarks.optimiser.proposers.catalogue import proposer_named, proposer_names
from benchmarks.optimiser.proposers.proposer import MakeProposer
from benchmarks.optimiser.results import append, read_runs

PROBLEM = "simulated-peft-12-0"
SEVEN = {"proposers": ["random"], "problems": [PROBLEM], "seeds": 2, "trials": 7, "minutes": 5.0}


def plan(folder: Path, **changes: object) -> run.Plan:
    return run.Plan(folder=folder, **(SEVEN | changes))  # type: ignore[arg-type]


def test_the_exact_front_has_a_share_of_one() -> None:
    """And no part of it has more."""
    problem = simulated_peft(3, 0)
    front = [tuple(row) for row in exact_front(draw_instance(3, 0)).tolist()]
    history = run.normalised_history(problem, front)
    assert history[-1] == pytest.approx(1.0)
    assert history == sorted(history)


def test_an_infeasible_trial_adds_nothing() -> None:
    """Nor does a front that has none yet."""
    problem = simulated_peft(3, 0)
    good = tuple(exact_front(draw_instance(3, 0))[0].tolist())
    history = run.normalised_history(problem, [None, good, None])
    assert history[0] == 0.0
    assert history[1] == history[2] > 0


def test_what_is_there_is_skipped(tmp_path: Path) -> None:
    """A second call runs only the seed that is new; more trials are run again and win."""
    run.run_plan(plan(tmp_path))
    run.run_plan(plan(tmp_path, seeds=3))
    file = tmp_path / f"{PROBLEM}.jsonl"
    assert len(file.read_text().splitlines()) == 3
    run.run_plan(plan(tmp_path, seeds=1, trials=8))
    assert {(one.seed, one.trials) for one in read_runs(file)} == {(0, 8), (1, 7), (2, 7)}


def test_a_line_cut_short_costs_one_run(tmp_path: Path) -> None:
    """The next line is whole, and the lost run is done again."""
    run.run_plan(plan(tmp_path))
    file = tmp_path / f"{PROBLEM}.jsonl"
    file.write_text(file.read_text()[:-40])
    run.run_plan(plan(tmp_path))
    assert {(one.seed, one.trials) for one in read_runs(file)} == {(0, 7), (1, 7)}


def test_time_is_up_before_the_next_run_starts(tmp_path: Path) -> None:
    """With no minutes nothing is run, and nothing is lost."""
    assert run.run_plan(plan(tmp_path, minutes=-1.0)) == 0
    assert list(tmp_path.iterdir()) == []


def test_a_proposer_that_breaks_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its runs are named and counted; the others are kept."""

    def named(name: str) -> MakeProposer:
        return broken if name == "density" else proposer_named(name)

    monkeypatch.setattr(run, "proposer_named", named)
    assert run.run_plan(plan(tmp_path, proposers=["density", "random"])) == 2
    assert {one.proposer for one in read_runs(tmp_path / f"{PROBLEM}.jsonl")} == {"random"}


@pytest.mark.parametrize(
    "name", [one for one in proposer_names() if one in {"paretune", "density", "random"}]
)
def test_a_seed_repeats_its_run(name: str) -> None:
    """Same proposer, same seed, same values."""
    problem = simulated_peft(3, 0)
    first, second = (run.run_one(problem, name, proposer_named(name), seed=4, trials=6) for _ in range(2))
    assert replace(first, seconds=(), ended="") == replace(second, seconds=(), ended="")


def test_the_spread_baseline_visits_both_ends_of_the_cost_first() -> None:
    """Then it fills the range between, and never repeats a trial."""
    problem = simulated_peft(12, 0)
    found = run.run_one(problem, "density", proposer_named("density"), seed=0, trials=20)
    costs = [np.log10(row[1]) for row in found.values if row is not None]
    assert costs[0] == min(costs)
    assert costs[1] == max(costs)
    assert found.repeats == 0


def test_a_run_survives_the_disk(tmp_path: Path) -> None:
    """What is read is what was written."""
    problem = simulated_peft(3, 0)
    found = run.run_one(problem, "random", proposer_named("random"), seed=0, trials=3)
    append(tmp_path / "x.jsonl", found)
    [read] = read_runs(tmp_path / "x.jsonl")
    assert list(read.hypervolume) == list(found.hypervolume)
    assert read.versions == found.versions


class _Broken:
    def ask(self) -> Parameterization:
        raise RuntimeError("broken")

    def tell(self, parameterization: Parameterization, metrics: Mapping[str, float] | None) -> None:
        raise AssertionError


def broken(problem: BenchmarkProblem, seed: int) -> _Broken:
    return _Broken()
