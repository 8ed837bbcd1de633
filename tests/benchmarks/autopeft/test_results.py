"""Trials on disk."""

from pathlib import Path

from benchmarks.autopeft.results import append, read_trials
from tests.benchmarks.autopeft.recorded import trial


def test_trials_come_back_as_they_were_written(tmp_path: Path) -> None:
    """With their typed configuration."""
    first, second = trial("search", "a", 0.5), trial("search", "b", None)
    for one in (first, second):
        append(tmp_path / "task.jsonl", one)
    assert list(read_trials(tmp_path / "task.jsonl").values()) == [first, second]


def test_a_line_cut_short_is_run_again(tmp_path: Path) -> None:
    """It spoils neither the lines before nor the one after it."""
    file = tmp_path / "task.jsonl"
    first, second = trial("search", "a", 0.5), trial("search", "b", 0.6)
    append(file, first)
    with file.open("a") as opened:
        opened.write('{"task": "rot')
    append(file, second)
    assert list(read_trials(file).values()) == [first, second]


def test_no_file_is_no_trials(tmp_path: Path) -> None:
    """A task that was never begun."""
    assert read_trials(tmp_path / "task.jsonl") == {}
