"""Whatever is in a file, reading it gives rows that can be learnt from, or the one error."""

import contextlib
import json
import math
import tempfile
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api_schemas.tasks import Task, TaskKind
from service.catalogue.tasks.facts import SourceFiles, TaskData, read_task
from service.errors import InvalidTask

cells = st.recursive(
    st.sampled_from(
        ["0", "1", 0, 1, -1, 1.0, True, None, "nan", "a", "b", "a|b", "[0, 1]", "1e308", 1e308, "01"]
    )
    | st.text(max_size=5)
    | st.integers()
    | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=4,
)
columns = st.sampled_from(["text", "label", "group", "other", ""])
rows = st.lists(st.dictionaries(columns, cells, max_size=4), max_size=12)


def read(folder: str, name: str, content: bytes, **fields: Any) -> TaskData:
    (Path(folder) / name).write_bytes(content)
    task = Task.model_validate({"name": f"file:{name}", **fields})
    return read_task(task, SourceFiles(Path(folder), (("train", (name,)),)))


def check(data: TaskData) -> None:
    """Every row has a text and a label of the kind, every class a row."""
    rows = [row for of_split in data.splits.values() for row in of_split]
    assert all(row.text for row in rows)
    if data.facts.kind is TaskKind.REGRESSION:
        assert all(isinstance(row.label, float) and math.isfinite(row.label) for row in rows)
    if data.facts.kind is TaskKind.CLASSIFICATION:
        assert {row.label for row in rows} <= set(range(len(data.facts.labels)))
    assert len(set(data.facts.labels)) == len(data.facts.labels)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(rows, st.sampled_from(TaskKind), st.sampled_from([None, "group"]), st.sampled_from([None, [], ["-1"]]))
def test_any_json_lines_are_rows_or_refused(
    given_rows: list[dict[str, Any]], kind: TaskKind, group: str | None, missing: list[str] | None
) -> None:
    """Repeated, so that some of them can be held out."""
    many = [{**row, "text": f"{n} {row['text']}"} if isinstance(row.get("text"), str) else row
            for n in range(24) for row in given_rows]  # fmt: skip
    content = "\n".join(map(json.dumps, many)).encode()
    with tempfile.TemporaryDirectory() as folder:
        try:
            check(read(folder, "a.jsonl", content, kind=kind, group_column=group, missing_labels=missing))
        except InvalidTask as error:
            error.detail.encode()


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    st.lists(
        st.lists(st.text(alphabet="ab01-.|,;\t\" '[]{}:\r", max_size=6), min_size=1, max_size=4), max_size=10
    ),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(TaskKind),
    st.sampled_from(["a.csv", "a.tsv"]),
)
def test_any_delimited_lines_are_rows_or_refused(
    lines: list[list[str]], separator: str, kind: TaskKind, name: str
) -> None:
    """Under a good header."""
    content = "\n".join(separator.join(cells) for cells in [["text", "label"], *lines * 9])
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(InvalidTask):
        check(read(folder, name, content.encode(), kind=kind))


@pytest.mark.parametrize("kind", TaskKind)
@pytest.mark.parametrize(
    "labels",
    [
        [b"neg", b"pos"],
        [b"\xff", b"pos"],
        [{"id": 0, "name": "neg"}, {"id": 1, "name": "pos"}],
        [[{"id": 0, "name": "neg"}], [{"id": 1, "name": "pos"}]],
        [[0, 1, 0], [1, 0, 0]],
        [2_932_897, 0],
        [1e308, -1e308],
        [None, None],
    ],
    ids=str,
)
def test_any_column_of_parquet_is_labels_or_refused(
    kind: TaskKind, labels: list[Any], tmp_path: Path
) -> None:
    """None becomes a class by being printed."""
    file = tmp_path / "source.parquet"
    table = pyarrow.table({"text": [f"text {n}" for n in range(80)], "label": labels * 40})
    pyarrow.parquet.write_table(table, file)
    try:
        data = read(str(tmp_path), "a.parquet", file.read_bytes(), kind=kind)
    except InvalidTask:
        return
    check(data)
    assert not any(sign in name for name in data.facts.labels for sign in "{['")


def test_rows_of_groups_in_another_split_are_counted(tmp_path: Path) -> None:
    """Among what was left out, as facts and for provenance."""
    for split, people in (("train", 12), ("test", 3)):
        rows = "".join(f"{split} {n},{n % 2},author{n % people}\n" for n in range(96))
        (tmp_path / f"{split}.csv").write_text(f"text,label,author\n{rows}", encoding="utf-8")
    files = SourceFiles(tmp_path, (("train", ("train.csv",)), ("test", ("test.csv",))))
    data = read_task(Task(name="hub:me/reviews", group_column="author"), files)
    assert data.dropped == data.facts.dropped == {"groups_of_other_splits": 24}
