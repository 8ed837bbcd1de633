"""What the kernel says of processes that it has killed for lack of memory."""

from pathlib import Path

import pytest

from service.runtime import memory_kills


@pytest.mark.parametrize(
    ("said", "count"),
    [(None, 0), ("pgfault 7\n", 0), ("nr_dirty 1\noom_kill 3\noom_killed_by_none 9\n", 3)],
    ids=["no such file", "no such line", "a count"],
)
def test_kills_are_counted_where_the_kernel_says_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str | None, count: int
) -> None:
    """Elsewhere none is known."""
    statistics = tmp_path / "vmstat"
    if said is not None:
        statistics.write_text(said)
    monkeypatch.setattr(memory_kills, "STATISTICS", statistics)
    assert memory_kills.memory_kills() == count
