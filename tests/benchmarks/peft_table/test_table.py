"""What is read from recorded lines."""

from pathlib import Path

import numpy as np

from benchmarks import json_lines
from benchmarks.autopeft.protocol import TASKS
from benchmarks.peft_table.nearest import Nearest, point_of, space
from benchmarks.peft_table.record import SEEDS
from benchmarks.peft_table.table import read_tables
from benchmarks.portfolio import coverage, portfolio, shipped
from tests.benchmarks.peft_table.recorded import line_of, recorded_tables


def test_a_configuration_without_all_of_its_seeds_is_left_out(tmp_path: Path) -> None:
    """So is one that another task does not have yet."""
    for task in TASKS:
        for number in range(3):
            for seed in SEEDS:
                if (task, number, seed) not in ((TASKS[0], 1, 2), (TASKS[1], 2, 0)):
                    json_lines.append(tmp_path / f"{task}.jsonl", line_of(task, number, seed))
    assert [len(table) for table in read_tables(TASKS, folder=tmp_path)] == [1] * len(TASKS)


def test_training_that_diverged_scores_as_the_worst(tmp_path: Path) -> None:
    """A search must not be paid for what cannot be used."""
    for number in range(2):
        for seed in SEEDS:
            line = line_of("imdb", number, seed, diverged=number == 1 and seed == 0)
            json_lines.append(tmp_path / "imdb.jsonl", line)
    (table,) = read_tables(["imdb"], folder=tmp_path)
    assert table.test[1, 0] == table.guessing == table.test.min()
    assert np.isfinite(table.validation_loss).all()


def test_a_portfolio_begins_with_the_default_and_covers_more_with_each_member(tmp_path: Path) -> None:
    """No member twice, and the head alone among them; what is shipped says where it is from."""
    tables = recorded_tables(tmp_path)
    chosen = portfolio(tables)
    assert len(set(chosen)) == 8
    assert tables[0].names[chosen[0]] == "LoRA 8, customary"
    assert any("head" in tables[0].names[row] for row in chosen)
    covered = [coverage(tables, chosen[:count]) for count in range(1, 9)]
    assert covered == sorted(covered)
    data = shipped(tables, chosen)
    assert len(data["members"]) == 8
    assert data["provenance"]["tasks"] == list(TASKS)


def test_a_row_of_auto_is_nearest_to_itself(tmp_path: Path) -> None:
    """And a row that is not free gives way to another."""
    table = recorded_tables(tmp_path)[0]
    points = [point for one in table.configurations if (point := point_of(one)) is not None]
    nearest = Nearest(points, space())
    everything = range(len(points))
    assert [nearest.row(point, among=everything) for point in points] == list(everything)
    assert nearest.row(points[3], among=[0, 4]) in (0, 4)
