"""Four formats, one table; and what is wrong with a file, said with its place."""

import contextlib
import io
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.catalogue.tasks.limits import LONGEST_NAME, MAX_COLUMNS
from service.catalogue.tasks.tables import ABSENT, count_rows, open_table
from service.errors import InvalidTaskFile

ROWS = [{"text": "good, very", "label": "1"}, {"text": "ein „Wort“\u2028zwei", "label": "0"}]


def parquet(rows: list[dict[str, object]]) -> bytes:
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), buffer)
    return buffer.getvalue()


def read(content: bytes, name: str) -> tuple[tuple[str, ...], list[dict[str, Any]]]:
    """Give the columns, and the rows without the cells that they do not have."""
    table = open_table(io.BytesIO(content), name=name)
    rows = [dict(zip(table.columns, cells, strict=True)) for cells in table.cells(table.columns)]
    assert count_rows(table) == len(rows)
    return table.columns, [{key: cell for key, cell in row.items() if cell is not ABSENT} for row in rows]


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("a.txt", b"text\nx\n", "must end in one of .csv, .tsv, .jsonl, .parquet"),
        ("a.csv", b"", "is empty"),
        ("a.csv", b"PK\x03\x04xl", "an Excel workbook: unpack it, or save the sheet as CSV"),
        ("a.parquet", b"\x1f\x8b\x08", "compressed with gzip: unpack it"),
        ("a.csv", b"PAR1\x15", "is Parquet: end its name in .parquet"),
        ("a.tsv", "text".encode("utf-16"), "UTF-16 or UTF-32: save it as UTF-8"),
        ("a.jsonl", b"version https://git-lfs.github.com/spec/v1", "a pointer of Git LFS"),
        ("a.csv", b"<!DOCTYPE html>\n", "a page of HTML"),
        ("a.jsonl", b'[\n{"text": "x"}\n]', "no list around them"),
        ("a.csv", b"text,label\n", "is empty"),
        ("a.csv", b"text,label\nx\n", "Line 2 of 'a.csv' has 1 cells where the header has 2"),
        ("a.csv", b"text,text\nx,1\n", "names a column twice"),
        ("a.csv", b'text,label\n"never closed,1\n', "no CSV at line 2.*quotation mark"),
        ("a.csv", b'id,text,label\n0,"a \\"b\\", c",1\n', r'no CSV at line 2.*written twice \(""\)'),
        ("a.csv", b"text,label\ncaf\xe9,1\n", r"offset 14 \(0xe9\)"),
        ("a.csv", b"\xef\xbb\xbftext,label\ncaf\xe9,1\n", "offset 17"),
        ("a.tsv", b"text\tlabel\nx\n", "Line 2"),
        ("a.jsonl", b'{"text": "x"}\n{"text": \n', "Line 2 of 'a.jsonl' is no JSON"),
        ("a.jsonl", b"[1]\n", "Line 1 of 'a.jsonl' is no JSON object"),
        ("a.jsonl", b'{"text": "x"}\n{"text": "\xff"}', "offset 24"),
        ("a.jsonl", b'{"text": "\\ud800"}', "Line 1 .* half a surrogate pair"),
        ("a.jsonl", b'{"\\ud800": "x"}', "Line 1 .* half a surrogate pair"),
        ("a.jsonl", b'{"text": "x", "text": "y"}', "a key stands twice"),
        ("a.jsonl", b"[" * 100_000, "no JSON"),
        ("a.jsonl", b'{"label": ' + b"1" * 5_000 + b"}", "no JSON: Exceeds the limit"),
        ("a.parquet", b"PAR1 not really", "no Parquet file"),
        ("a.csv", b"t\0e\0x\0t\0,\0l\0\n\0x\0,\x001\0\n\0", "zero bytes, as UTF-16 has"),
        ("a.csv", b"text," * MAX_COLUMNS + b"label\n", "the limit is 1,000"),
        ("a.csv", b"a" * (LONGEST_NAME + 1) + b",b\nx,1\n", "the limit is 500. Is the first line"),
        ("a.csv", b"text;label\nx;1\ny\n", "separated by a semicolon"),
        ("a.csv", b"text,label\nx,1,2\n", "Line 2 .* 3 cells .* separated by a comma"),
    ],
    ids=lambda given: f"{given!r:.40}",
)
def test_what_is_no_table_is_said_with_its_place(name: str, content: bytes, complaint: str) -> None:
    """The line, or the byte, that cannot be read."""
    with pytest.raises(InvalidTaskFile, match=complaint):
        read(content, name)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", 'text,label\n"good, very",1\r\n\nein „Wort“\u2028zwei,0\n'.encode()),
        ("A.CSV", 'text,label\n"good, very",1\nein „Wort“\u2028zwei,0'.encode("utf-8-sig")),
        ("a.tsv", "text\tlabel\r\ngood, very\t1\r\nein „Wort“\u2028zwei\t0".encode()),
        (
            "a.jsonl",
            '{"text": "good, very", "label": "1"}\n\n{"text": "ein „Wort“\u2028zwei", "label": "0"}'.encode(),
        ),
        ("a.parquet", parquet(list(ROWS))),
    ],
)
def test_every_format_gives_the_same_table(name: str, content: bytes) -> None:
    """Blank lines, line ends and byte order marks do not matter."""
    assert read(content, name) == (("text", "label"), ROWS)


def test_quotes_in_a_tsv_are_letters() -> None:
    """Benchmarks ship such files: a quote there opens nothing."""
    assert read(b'text\n"half\n', "a.tsv") == (("text",), [{"text": '"half'}])


def test_json_and_parquet_keep_lists_and_numbers() -> None:
    """Labels may be lists there; a key that a line lacks is a column all the same."""
    lines = b'{"text": "a", "labels": ["x", "y"]}\n{"text": "b", "value": 2}'
    columns, rows = read(lines, "a.jsonl")
    assert columns == ("text", "labels", "value")
    assert rows == [{"text": "a", "labels": ["x", "y"]}, {"text": "b", "value": 2}]
    lists = [{"labels": ["x"], "value": 0.5}]
    assert read(parquet(lists), "a.parquet")[1] == lists


SEPARATED = {
    "semicolons": ("a.csv", "text;label\n'good; very, very';1\nbad, very;0\n"),
    "tabs": ("a.csv", "text\tlabel\n'good; very, very'\t1\nbad, very\t0\n"),
    "bars": ("a.csv", "text|label\n'good; very, very'|1\nbad, very|0\n"),
    "a line that says it": ("a.csv", "sep=;\r\ntext;label\r\n'good; very, very';1\r\nbad, very;0\r\n"),
    "a line that says another": ("a.csv", "SEP=^\ntext^label\n'good; very, very'^1\nbad, very^0\n"),
    "a comma at each end": ("a.csv", "text,label,\n'good; very, very',1,\n'bad, very',0,\n"),
    "a comma at each row's end": ("a.csv", "text,label\n'good; very, very',1,\n'bad, very',0,\n"),
    "commas for empty columns": ("a.csv", "text,label,,\n'good; very, very',1,,\n'bad, very',0,,,\n"),
    "numbers of rows without a name": ("a.csv", ",text,label\n0,'good; very, very',1\n1,'bad, very',0\n"),
    "commas in a TSV": ("a.tsv", "text,label\n'good; very, very',1\n'bad, very',0\n"),
    "semicolons in a TSV": ("a.tsv", "text;label\n'good; very, very';1\nbad, very;0\n"),
}


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("kind", SEPARATED)
def test_the_separator_of_a_file_is_recognised(kind: str, mark: str) -> None:
    """By the header and the rows; none of them is taken for a text with the others in it."""
    name, content = SEPARATED[kind]
    columns, rows = read((mark + content.replace("'", '"')).encode(), name)
    assert columns == ("text", "label")
    assert rows == [{"text": "good; very, very", "label": "1"}, {"text": "bad, very", "label": "0"}]


def test_separators_within_texts_separate_nothing() -> None:
    """Where commas fit, nothing else is tried; one column needs no separator."""
    assert read(b"text,label\na;b;c,1\nd;e;f,0\n", "a.csv")[0] == ("text", "label")
    assert read(b"text\nsome; text\nother; text\n", "a.csv")[1][0] == {"text": "some; text"}


def test_a_separator_is_found_in_the_beginning_of_a_large_file() -> None:
    """Whose last line is cut off there."""
    lines = "".join(f'"{n}, {"x" * 2000}";{n}\n' for n in range(300))
    assert len(read(f"text;label\n{lines}".encode(), "a.csv")[1]) == 300


def test_documents_longer_than_the_beginning_that_is_looked_at_are_read() -> None:
    """The end of it lies within a cell, behind fewer rows than are counted."""
    cell = '"' + "a, b\n" * 1200 + '"'
    lines = "".join(f"{n},{cell},{n % 2}\n" for n in range(100))
    columns, rows = read(f"id,text,label\n{lines}".encode(), "a.csv")
    assert columns == ("id", "text", "label")
    assert len(rows) == 100


def test_a_column_of_texts_may_have_commas_and_quotes() -> None:
    """Its header says that it is one column."""
    assert read(b'text\nfine,"really" fine\n', "a.csv")[1] == [{"text": 'fine,"really" fine'}]


@pytest.mark.parametrize("at", [0, 1, 2**20 - 2, 2**20, 2**20 + 1])
def test_the_first_bad_byte_of_a_large_file_is_named(at: int) -> None:
    """Also behind a letter of two bytes that two chunks share."""
    text = ("text\n" + "é" * 2**20).encode()
    content = text[: 5 + at] + b"\xff" + text[5 + at :]
    offset = 5 + at - at % 2  # half of a letter before it is bad, too
    with pytest.raises(InvalidTaskFile, match=rf"the byte at offset {offset} "):
        read(content, "a.csv")


@given(st.binary(max_size=60), st.sampled_from(["a.csv", "a.tsv", "a.jsonl", "a.parquet"]))
def test_no_bytes_do_worse_than_be_refused(content: bytes, name: str) -> None:
    """Whatever is uploaded, the answer is a table or the one error."""
    with contextlib.suppress(InvalidTaskFile):
        assert read(content, name)[1]


def test_what_is_empty_above_the_header_is_no_header() -> None:
    """Excel writes empty rows as separators."""
    assert read(b"\n,\ntext,label\ngood,1\n", "a.csv")[1] == [{"text": "good", "label": "1"}]
    assert read(b"\n\ntext\tlabel\ngood\t1\n", "a.tsv")[1] == [{"text": "good", "label": "1"}]


def test_a_tsv_with_quotes_in_its_header_has_them_around_cells() -> None:
    """As who exports with every cell quoted writes it."""
    content = b'"text"\t"label"\n"a ""b""\nc"\t"1"\n'
    assert read(content, "a.tsv")[1] == [{"text": 'a "b"\nc', "label": "1"}]


@pytest.mark.parametrize("start", ["par1", "PAR1", "BZh", "PK", "html", "ARROW1"])
def test_a_column_may_be_called_as_other_formats_begin(start: str) -> None:
    """Whose first bytes have more in them than letters."""
    assert read(f"{start},label\ngood,1\n".encode(), "a.csv")[0] == (start, "label")
