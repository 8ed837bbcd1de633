"""Searches for smaller networks on a table that was made up."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.network_table.networks import DROPPED, NARROWED, SEARCHED, WHOLE, networks
from benchmarks.network_table.replay import SEARCHERS, judged, replay, started_with
from benchmarks.network_table.report import replay_report, summary
from benchmarks.network_table.table import read_network_tables
from benchmarks.peft_table.game import Game, Report
from benchmarks.peft_table.record import SEEDS
from benchmarks.peft_table.table import Table


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Table:
    """In which larger networks score higher, with some noise."""
    folder = tmp_path_factory.mktemp("networks")
    rng = np.random.default_rng(0)
    lines = [
        _line(network.name, seed, 0.6 + 0.1 * (1 - place / 143) + 0.01 * float(rng.standard_normal()))
        for place, network in enumerate(networks("tweets"))
        for seed in SEEDS
    ]
    (folder / "tweets.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    [found] = read_network_tables(["tweets"], folder=folder)
    return found


def _line(name: str, seed: int, score: float) -> dict[str, Any]:
    split = {"score": round(score, 4), "loss": 1.0, "right": ""}
    return {"name": name, "seed": seed, "validation": split, "test": split, "cpu_seconds": 1.0}


@pytest.mark.parametrize("name", ["both by hand", "random", "NSGA-II", "paretune"])
def test_a_searcher_spends_its_budget_and_reports_what_it_trained(table: Table, name: str) -> None:
    """Whatever it is; but for a race that is decided before its quarter is spent."""
    game = Game(table, range(len(table)), budget=16, seed=0)
    report = SEARCHERS[name](game)
    assert game.left <= (4 if name == "paretune" else 0)
    assert {report.best, *report.front} <= game.seen.keys()


def test_a_cut_by_hand_gets_further_seeds_when_all_are_tried(table: Table) -> None:
    """Until they have no more: six networks have eighteen trainings."""
    game = Game(table, range(len(table)), budget=30, seed=0)
    SEARCHERS["last layers dropped"](game)
    assert sorted(map(len, game.seen.values())) == [3] * 6
    assert game.left == 12


def test_a_study_begins_with_what_people_would_do(table: Table) -> None:
    """As the service has it: behind that, one network that was measured as twice as fast."""
    rows = started_with(table)
    assert [table.origins[row] for row in rows] == [WHOLE, DROPPED, DROPPED, NARROWED, NARROWED, SEARCHED]
    assert table.names[rows[-1]] == "5 layers by first, 576 units by importance"


def test_a_front_is_judged_on_test_rows(table: Table) -> None:
    """All rows dominate everything; the whole network alone is as cheap as itself."""
    everything = judged(table, Report(best=0, front=tuple(range(len(table)))))
    assert everything["hypervolume"] == 1.0
    assert everything["cheapest"] < 1.0
    assert judged(table, Report(best=0, front=(0,)))["cheapest"] == 1.0


def test_games_are_written_once_and_reported(table: Table, tmp_path: Path) -> None:
    """A second run plays what is missing."""
    results = tmp_path / "replays.jsonl"
    for names in (["both by hand", "random"], ["both by hand", "random"]):
        replay([table], results=results, names=names, budgets=[16], draws=2)
    assert len(results.read_text().splitlines()) == 4
    assert "| random | 2 |" in replay_report(results)
    assert "6 layers, 1536 units" in summary([table])
