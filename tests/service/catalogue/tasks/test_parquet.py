"""Parquet as other programs write it: only columns that are named can do harm; sizes are checked first."""

import datetime
import io
import json
import struct
from decimal import Decimal
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from service.catalogue.tasks import limits, parquet
from service.catalogue.tasks.parquet import open_parquet
from service.catalogue.tasks.tables import Table, count_rows
from service.errors import InvalidTaskFile

ROWS = 20
BAD_TEXT = pyarrow.Array.from_buffers(
    pyarrow.string(),
    ROWS,
    [
        None,
        pyarrow.py_buffer(struct.pack(f"<{ROWS + 1}i", *range(ROWS + 1))),
        pyarrow.py_buffer(b"\xff" * ROWS),
    ],
)
ODD_COLUMNS = {
    "a date of the year 10000": pyarrow.array([2_932_897] * ROWS, pyarrow.date32()),
    "a date before all": pyarrow.array([-(10**9)] * ROWS, pyarrow.date32()),
    "a moment of the year 10000": pyarrow.array([253_402_300_800] * ROWS, pyarrow.timestamp("s")),
    "a moment of the year 294247": pyarrow.array([2**63 - 1] * ROWS, pyarrow.timestamp("us", "UTC")),
    "an unknown time zone": pyarrow.array([0] * ROWS, pyarrow.timestamp("us", "Mars/Olympus")),
    "nanoseconds": pyarrow.array([1] * ROWS, pyarrow.timestamp("ns")),
    "a long time": pyarrow.array([2**62] * ROWS, pyarrow.duration("s")),
    "bad UTF-8": BAD_TEXT,
    "dates in lists": pyarrow.array([[2_932_897]] * ROWS, pyarrow.list_(pyarrow.date32())),
    "moments in structs": pyarrow.array(
        [{"at": 1}] * ROWS, pyarrow.struct({"at": pyarrow.timestamp("s", "Mars/Olympus")})
    ),
}


def table_of(columns: dict[str, Any], *, name: str = "a.parquet", **options: Any) -> Table:
    file = io.BytesIO()
    written = pyarrow.table(columns)
    metadata = options.pop("metadata", None)
    pyarrow.parquet.write_table(
        written.replace_schema_metadata(metadata) if metadata else written, file, **options
    )
    return open_parquet(file, name)


def cells(table: Table, *columns: str) -> list[tuple[Any, ...]]:
    return list(table.cells(columns or table.columns))


@pytest.mark.parametrize("kind", ODD_COLUMNS)
def test_an_odd_column_that_nobody_names_harms_nothing(kind: str) -> None:
    """It is neither turned into objects nor looked at."""
    table = table_of({"text": ["x"] * ROWS, "odd": ODD_COLUMNS[kind]})
    assert count_rows(table) == ROWS
    assert cells(table, "text") == [("x",)] * ROWS


@pytest.mark.parametrize("kind", ODD_COLUMNS)
def test_an_odd_column_that_is_named_is_read_or_refused(kind: str) -> None:
    """With its name; no other error."""
    table = table_of({"odd": ODD_COLUMNS[kind]})
    try:
        assert len(cells(table, "odd")) == ROWS
    except InvalidTaskFile as error:
        assert "the column 'odd' of 'a.parquet' cannot be read" in error.detail  # noqa: PT017  or it was read


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        (pyarrow.array([b"neg"]), b"neg"),
        (pyarrow.array([b"neg"], pyarrow.binary(3)), b"neg"),
        (pyarrow.array(["neg"]).dictionary_encode(), "neg"),
        (pyarrow.array(["neg"], pyarrow.large_string()), "neg"),
        (pyarrow.array([Decimal("1.50")]), "1.50"),
        (pyarrow.array([1.5], pyarrow.float16()), 1.5),
        (pyarrow.array([datetime.date(2026, 11, 29)]), "2026-11-29"),
        (pyarrow.array([datetime.time(1, 2)]), "01:02:00.000000"),
        (pyarrow.array([None]), None),
        (pyarrow.array([["a", "b"]]), ["a", "b"]),
        (pyarrow.array([{"id": 0}]), {"id": 0}),
    ],
    ids=lambda given: str(getattr(given, "type", "")),
)
def test_a_cell_is_a_value_of_python(column: Any, cell: object) -> None:
    """Text for what is neither number, truth value, bytes, list nor mapping."""
    assert cells(table_of({"odd": column})) == [(cell,)]


def test_columns_may_have_dots_and_share_beginnings() -> None:
    """A dot there is no path into a struct."""
    columns = {"a.b": ["x"], "a": [{"b": 1}], "a.b.c": ["y"]}
    table = table_of(columns)
    assert table.columns == ("a.b", "a", "a.b.c")
    assert cells(table, "a.b") == [("x",)]
    assert cells(table, "a.b.c", "a") == [("y", {"b": 1})]


@pytest.mark.parametrize(
    ("metadata", "names"),
    [
        (
            {"info": {"features": {"label": {"names": ["neg", "pos"], "_type": "ClassLabel"}}}},
            {"label": ("neg", "pos")},
        ),
        ({"info": {"features": []}}, {}),
        ({"info": None}, {}),
        ([], {}),
    ],
)
def test_the_file_may_name_its_classes(metadata: object, names: dict[str, tuple[str, ...]]) -> None:
    """As `datasets` writes them beside the schema."""
    table = table_of({"label": [0, 1]}, metadata={"huggingface": json.dumps(metadata)})
    assert table.class_names == names


@pytest.mark.parametrize("metadata", [b"{", b"[" * 100_000, b"\xff"])
def test_damaged_metadata_name_nothing(metadata: bytes) -> None:
    """The rows are there all the same."""
    assert table_of({"label": [0, 1]}, metadata={b"huggingface": metadata}).class_names == {}


def test_what_a_file_says_of_its_size_is_checked_before_it_is_unpacked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each limit has its sentence; bytes count for the columns that are read."""
    with pytest.raises(InvalidTaskFile, match="more than 2,000,000 rows"):
        table_of({"label": pyarrow.array([0] * (limits.MAX_ROWS + 1), pyarrow.int8())})
    with pytest.raises(InvalidTaskFile, match="1,001 columns; the limit is 1,000"):
        table_of({f"c{number}": [0] for number in range(limits.MAX_COLUMNS + 1)})
    monkeypatch.setattr(parquet, "MAX_UNPACKED", 2_000)
    wide = table_of(
        {"text": ["x"] * 5, "image": [bytes(1_000)] * 5}, compression="zstd", use_dictionary=False
    )
    assert cells(wide, "text") == [("x",)] * 5
    with pytest.raises(InvalidTaskFile, match=r"unpacks to 7,.* bytes; the limit is 2,000"):
        cells(wide, "image")
    with pytest.raises(InvalidTaskFile, match="unpacks to"):
        count_rows(wide)


def test_many_groups_and_batches_are_one_table() -> None:
    """In their order."""
    table = table_of({"n": list(range(5_000))}, row_group_size=700)
    assert [cell for (cell,) in cells(table)] == list(range(5_000))
    assert count_rows(table) == 5_000
