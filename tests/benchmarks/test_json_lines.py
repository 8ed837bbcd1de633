"""Recorded lines on disk, fresh and archived."""

from pathlib import Path

import pytest

from benchmarks import json_lines


def test_a_number_that_is_not_finite_is_refused(tmp_path: Path) -> None:
    """JSON has no name for it, and other readers would stumble."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_lines.append(tmp_path / "a.jsonl", {"x": float("nan")})


def test_a_line_cut_short_spoils_no_other(tmp_path: Path) -> None:
    """It is left out, and the next one begins anew."""
    path = tmp_path / "a.jsonl"
    json_lines.append(path, {"x": 1})
    with path.open("a") as file:
        file.write('{"x": ')
    json_lines.append(path, {"x": 2})
    assert json_lines.read(path) == [{"x": 1}, {"x": 2}]


def test_archived_lines_come_before_fresh_ones(tmp_path: Path) -> None:
    """An archive grows when its file is archived again; the file is gone."""
    path = tmp_path / "a.jsonl"
    assert not json_lines.exists(path)
    for number in range(3):
        json_lines.append(path, {"x": number})
        json_lines.archive(path)
        assert not path.exists()
    json_lines.append(path, {"x": 3})
    assert json_lines.exists(path)
    assert [line["x"] for line in json_lines.read(path)] == [0, 1, 2, 3]
    assert json_lines.names(tmp_path) == ["a"]


def test_equal_lines_make_equal_archives(tmp_path: Path) -> None:
    """Whenever they were made: the repository sees no change where there is none."""
    for name in ("a.jsonl", "b.jsonl"):
        json_lines.append(tmp_path / name, {"x": 1})
        json_lines.archive(tmp_path / name)
    assert (tmp_path / "a.jsonl.gz").read_bytes() == (tmp_path / "b.jsonl.gz").read_bytes()
