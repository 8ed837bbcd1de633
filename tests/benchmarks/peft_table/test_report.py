"""What the table says by itself."""

from pathlib import Path

import pytest

from benchmarks.autopeft.protocol import TASKS
from benchmarks.peft_table.report import seed_deviation, summary
from tests.benchmarks.peft_table.recorded import recorded_tables


def test_every_method_has_a_line_and_every_task_a_column(tmp_path: Path) -> None:
    """The default first, the sample of `auto` last, then the spread."""
    lines = summary(recorded_tables(tmp_path)).splitlines()
    assert all(task in lines[2] for task in TASKS)
    assert lines[4].startswith("| LoRA 8, customary |")
    assert lines[-2].startswith("| auto |")
    assert len(lines) == 4 + 10 + 1


def test_the_spread_is_that_of_seeds(tmp_path: Path) -> None:
    """Scores here differ by a hundredth between seeds."""
    assert seed_deviation(recorded_tables(tmp_path)[0]) == pytest.approx(0.01, rel=0.3)
