"""Four formats, one table; and what is wrong with a file, said with its place."""

import contextlib
import io

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import InvalidTaskFile
from service.task_catalogue.tables import Table, read_table

ROWS = [{"text": "good, very", "label": "1"}, {"text": "ein „Wort“\u2028zwei", "label": "0"}]


def parquet(rows: list[dict[str, object]]) -> bytes:
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("a.txt", b"text\nx\n", "must end in one of .csv, .tsv, .jsonl, .parquet"),
        ("a.csv", b"", "is empty"),
        ("a.csv", b"text,label\n", "is empty"),
        ("a.csv", b"text,label\nx\n", "Line 2 of 'a.csv' has 1 cells where the header has 2"),
        ("a.csv", b"text,text\nx,1\n", "names a column twice"),
        ("a.csv", b'text,label\n"never closed,1\n', "no CSV at line 2.*quotation mark"),
        ("a.csv", b"text,label\ncaf\xe9,1\n", r"offset 14 \(0xe9\)"),
        ("a.csv", b"\xef\xbb\xbftext,label\ncaf\xe9,1\n", "offset 17"),
        ("a.tsv", b"text\tlabel\nx\n", "Line 2"),
        ("a.jsonl", b'{"text": "x"}\n{"text": \n', "Line 2 of 'a.jsonl' is no JSON"),
        ("a.jsonl", b"[1]\n", "Line 1 of 'a.jsonl' is no JSON object"),
        ("a.parquet", b"PAR1 not really", "no Parquet file"),
    ],
)
def test_what_is_no_table_is_said_with_its_place(name: str, content: bytes, complaint: str) -> None:
    """The line, or the byte, that cannot be read."""
    with pytest.raises(InvalidTaskFile, match=complaint):
        read_table(content, name=name)


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
    assert read_table(content, name=name) == Table(("text", "label"), ROWS)


def test_quotes_in_a_tsv_are_letters() -> None:
    """Benchmarks ship such files: a quote there opens nothing."""
    assert read_table(b'text\n"half\n', name="a.tsv").rows == [{"text": '"half'}]


def test_json_and_parquet_keep_lists_and_numbers() -> None:
    """Labels may be lists there; a key that a line lacks is a column all the same."""
    found = read_table(b'{"text": "a", "labels": ["x", "y"]}\n{"text": "b", "value": 2}', name="a.jsonl")
    assert found.columns == ("text", "labels", "value")
    rows = [{"labels": ["x"], "value": 0.5}]
    assert read_table(parquet(rows), name="a.parquet").rows == rows  # type: ignore[arg-type]


@given(st.binary(max_size=60), st.sampled_from(["a.csv", "a.tsv", "a.jsonl", "a.parquet"]))
def test_no_bytes_do_worse_than_be_refused(content: bytes, name: str) -> None:
    """Whatever is uploaded, the answer is a table or the one error."""
    with contextlib.suppress(InvalidTaskFile):
        assert read_table(content, name=name).rows
