"""Games are played once, judged on test rows, and compared pair by pair."""

from pathlib import Path

import pytest

from benchmarks import json_lines
from benchmarks.peft_table.game import Game, Report
from benchmarks.peft_table.replay import judged, replay, rows_with, searchers, true_front
from benchmarks.peft_table.replay_report import replay_report
from benchmarks.peft_table.table import Table
from tests.benchmarks.peft_table.recorded import recorded_tables


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> list[Table]:
    """Tables of all tasks."""
    return recorded_tables(tmp_path_factory.mktemp("tables"))


def test_paretune_plays_its_parts_within_the_budget(tables: list[Table]) -> None:
    """A portfolio first, some rows with several seeds; only a decided race leaves something over."""
    game = Game(tables[0], range(len(tables[0])), budget=20, seed=0)
    report = searchers(tables, tables[0], game.rows)["paretune"](game)
    assert 0 <= game.left <= 5
    assert any(len(scores) > 1 for scores in game.seen.values())
    assert report.best in game.seen
    assert set(report.front) <= game.seen.keys()


def test_a_game_is_played_once(tables: list[Table], tmp_path: Path) -> None:
    """A second run finds all of them written down; the report pairs them by game."""
    results = tmp_path / "replays.jsonl"
    for _ in range(2):
        replay(tables, results=results, names=["by hand", "random"], budgets=[16], draws=2)
    lines = json_lines.read(results)
    assert len(lines) == 2 * 4 * 2 * 2
    text = replay_report(results)
    assert "16 trainings, full fine-tuning on neither side" in text
    assert text.count("| random | 8 |") == 2


def test_what_is_reported_is_judged_by_its_test_score(tables: list[Table]) -> None:
    """In points, whatever was observed."""
    game = Game(tables[0], range(len(tables[0])), budget=16, seed=1)
    report = searchers(tables, tables[0], game.rows)["random"](game)
    found = judged(tables[0], report)
    assert found["test"] == pytest.approx(100 * tables[0].test[report.best].mean(), abs=1e-3)
    assert 0 < found["hypervolume"] <= 1


def test_what_is_said_is_compared_with_what_is_true(tables: list[Table]) -> None:
    """A chance of 1 for the whole true front and 0 for the others is right in every tenth."""
    rows = range(len(tables[0]))
    front = true_front(tables[0], rows)
    said = Report(min(front), tuple(front), {row: float(row in front) for row in rows}, better=0.95)
    tenths = judged(tables[0], said)["chances"]
    assert tenths[9] == [len(front)] * 3
    assert tenths[0] == [len(rows) - len(front), 0, 0]
    assert not any(map(any, tenths[1:9]))


def test_paretune_says_how_sure_it_is(tables: list[Table], tmp_path: Path) -> None:
    """Every trained row has a chance; the report adds games up."""
    results = tmp_path / "replays.jsonl"
    replay(tables, results=results, names=["by hand", "paretune"], budgets=[20], draws=1)
    (first, *_) = [line for line in json_lines.read(results) if line["searcher"] == "paretune"]
    assert sum(number for number, _, _ in first["chances"]) >= 10
    assert "| 0.9 to 1.0 |" in replay_report(results)


def test_without_full_fine_tuning_no_row_trains_the_backbone(tables: list[Table]) -> None:
    """On either side."""
    rows = rows_with(tables[0], full=False)
    assert 0 < len(rows) < len(tables[0])
    assert all(tables[0].configurations[row].peft.method != "full" for row in rows)


@pytest.mark.parametrize("name", ["without belief", "race for the best", "without recorded trials"])
def test_variants_play_within_the_budget(tables: list[Table], name: str) -> None:
    """A decided race may leave something over; nobody spends more."""
    game = Game(tables[0], range(len(tables[0])), budget=20, seed=0)
    report = searchers(tables, tables[0], game.rows)[name](game)
    assert 0 <= game.left <= 5
    assert report.best in game.seen
