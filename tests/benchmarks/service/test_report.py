"""The table of the service's numbers: the latest run of each part, with its targets."""

from pathlib import Path

from benchmarks.service.report import BEGIN, END, write_report
from benchmarks.service.results import Measured, Record, append

FAST = Measured("polls", {"p99_ms": 2.0, "per_second": 1600.0}, {"p99_ms": 5.0}, {"per_second": 1500.0})
SLOW = Measured("polls", {"p99_ms": 2.0, "per_second": 900.0}, {"p99_ms": 5.0}, {"per_second": 1500.0})
PLAIN = Measured("memory", {"api_megabytes": 150.5})


def record(part: str, row: Measured, *, ended: str) -> Record:
    return Record(part, row, {"python": "3.11"}, "python -m benchmarks.service", ended)


def test_a_target_holds_if_every_figure_does() -> None:
    """And says nothing where there is none."""
    assert (FAST.holds(), SLOW.holds(), PLAIN.holds()) == (True, False, None)


def test_the_document_has_the_latest_run_of_each_part_between_its_markers(tmp_path: Path) -> None:
    """What stands around them stays; a part that was not run again keeps its rows."""
    results, document = tmp_path / "service.jsonl", tmp_path / "performance.md"
    document.write_text(f"before\n{BEGIN}\nstale\n{END}\nafter\n")
    append(results, [record("poll", SLOW, ended="2026-01-01"), record("memory", PLAIN, ended="2026-01-01")])
    append(results, [record("poll", FAST, ended="2026-01-02")])
    write_report(results, document)
    text = document.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "stale" not in text
    assert "| polls | 2 | 1,600 | p99 ms at most 5; per second at least 1,500: holds |" in text
    assert "900" not in text
    assert "| memory | 150.5 |" in text
