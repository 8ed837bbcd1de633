"""The report: ranks, tables, and what it refuses to touch."""

from pathlib import Path

import pytest

from benchmarks.optimiser.report import BEGIN, END, ranks, report, write_report
from benchmarks.optimiser.results import Run, SuggestionSeconds, append

PROBLEM = "simulated-peft-12-0"
ABOUT = {"versions": {}, "threads": 1, "command": "", "ended": ""}


def finished(proposer: str, seed: int, share: float, *, trials: int = 60) -> Run:
    return Run(
        problem=PROBLEM, proposer=proposer, seed=seed, trials=trials, hypervolume=[share] * trials,
        seconds=[0.1] * trials, values=[(0.3, 1e5)] * trials, repeats=0, **ABOUT,  # type: ignore[arg-type]
    )  # fmt: skip


def test_the_best_mean_has_rank_one_and_equals_share() -> None:
    """A run that ended before the ranked trial has no rank."""
    runs = {
        "a": [finished("a", 0, 0.9), finished("a", 1, 0.7)],
        "b": [finished("b", 0, 0.8)],
        "c": [finished("c", 0, 0.95)],
        "d": [finished("d", 0, 1.0, trials=59)],
    }
    assert ranks(runs) == {"c": 1.0, "a": 2.5, "b": 2.5}


def test_tables_give_means_and_standard_errors() -> None:
    """Two seeds at 0.7 and 0.9: 0.8, and an error of 0.1; nothing is claimed at 100 trials."""
    text = report({PROBLEM: {"paretune": [finished("paretune", 0, 0.9), finished("paretune", 1, 0.7)]}}, [])
    assert (
        "| **paretune** | 2 | 0.800 ± 0.100 | 0.800 ± 0.100 | 0.800 ± 0.100 | - | 0.800 ± 0.100 | 0.0 |"
        in text
    )


def test_seconds_are_medians_with_their_count() -> None:
    """In the column of their number of observations."""
    timings = [
        SuggestionSeconds(
            problem=PROBLEM,
            proposer="paretune",
            observations=50,
            repetition=at,
            seconds=seconds,
            **ABOUT,  # type: ignore[arg-type]
        )
        for at, seconds in enumerate((0.1, 0.2, 0.3))
    ]
    assert "| **paretune** | - | 0.20, 0.29 (3) | - | - |" in report({}, timings)


def test_only_what_stands_between_the_markers_is_replaced(tmp_path: Path) -> None:
    """The words around stay, an image is drawn, and a second report changes nothing."""
    append(tmp_path / f"{PROBLEM}.jsonl", finished("density", 0, 0.8))
    append(tmp_path / f"{PROBLEM}.jsonl", finished("density", 1, 0.7))
    document = tmp_path / "optimiser.md"
    document.write_text(f"before\n\n{BEGIN}\nold\n{END}\nafter\n")
    write_report(tmp_path, document=document, images=tmp_path)
    text = document.read_text()
    assert text.startswith("before\n\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert "| density | 2 |" in text
    assert (tmp_path / "optimiser-simulated-peft.png").stat().st_size > 0
    write_report(tmp_path, document=document, images=tmp_path)
    assert document.read_text() == text


def test_a_document_without_markers_is_left_alone(tmp_path: Path) -> None:
    """Nothing is written into a place that nobody named."""
    document = tmp_path / "optimiser.md"
    document.write_text("words")
    with pytest.raises(ValueError, match="needs the lines"):
        write_report(tmp_path, document=document, images=tmp_path)
    assert document.read_text() == "words"
