"""Read a table from the bytes of a CSV, TSV, JSONL or Parquet file. Knows nothing about labels.

CSV is RFC 4180 with a header; TSV has a header and no quoting; JSONL is one object a line. Text is
UTF-8, with or without a byte order mark.
"""

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from service.errors import InvalidTaskFile

LONGEST_CELL = 10_000_000
csv.field_size_limit(LONGEST_CELL)


@dataclass(frozen=True)
class Table:
    """Named columns and rows of cells. A cell of a text format is a string; a missing one is None."""

    columns: tuple[str, ...]
    rows: list[dict[str, Any]]


def is_table(name: str) -> bool:
    """Say whether a file's name has the ending of a format that can be read."""
    return PurePath(name).suffix.lower() in READERS


def read_table(content: bytes, *, name: str) -> Table:
    """Read a table; the ending of `name` says how.

    Raises:
        InvalidTaskFile: If the bytes are no such table, or it has no rows.
    """
    if not is_table(name):
        raise InvalidTaskFile(f"'{name}' must end in one of {', '.join(READERS)}.")
    table = READERS[PurePath(name).suffix.lower()](content, name)
    if not table.rows:
        raise InvalidTaskFile(f"'{name}' is empty: it has no rows.")
    return table


def _read_csv(content: bytes, name: str) -> Table:
    reader = csv.reader(io.StringIO(_decoded(content, name), newline=""), strict=True)
    return _with_header(_delimited(reader, name), name=name)


def _read_tsv(content: bytes, name: str) -> Table:
    # Not splitlines: a cell may hold U+2028, which is no end of a line here.
    lines = enumerate(io.StringIO(_decoded(content, name), newline=None), 1)
    return _with_header(((number, line.rstrip("\n").split("\t")) for number, line in lines), name=name)


def _delimited(reader: Any, name: str) -> Iterator[tuple[int, list[str]]]:
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise InvalidTaskFile(
                f"'{name}' is no CSV at line {reader.line_num}: {error}. Is a quotation mark left open?"
            ) from error
        yield reader.line_num, cells


def _with_header(lines: Iterator[tuple[int, list[str]]], *, name: str) -> Table:
    _, header = next(lines, (0, []))
    columns = tuple(column.strip() for column in header)
    if len(set(columns)) < len(columns):
        raise InvalidTaskFile(f"'{name}' names a column twice: {', '.join(columns)}.")
    rows = []
    for number, cells in lines:
        if not any(cells):
            continue
        if len(cells) != len(columns):
            raise InvalidTaskFile(
                f"Line {number} of '{name}' has {len(cells)} cells where the header has {len(columns)}."
            )
        rows.append(dict(zip(columns, cells, strict=True)))
    return Table(columns, rows)


def _read_jsonl(content: bytes, name: str) -> Table:
    rows: list[dict[str, Any]] = []
    columns: dict[str, None] = {}
    # Not splitlines: a JSON string may hold U+2028, which is no end of a line here.
    for number, line in enumerate(_decoded(content, name).split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            json.dumps(row, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise InvalidTaskFile(
                f"Line {number} of '{name}' has half a surrogate pair, which is no character. Write it anew."
            ) from error
        except (ValueError, RecursionError) as error:
            raise InvalidTaskFile(f"Line {number} of '{name}' is no JSON: {error}.") from error
        if not isinstance(row, dict):
            raise InvalidTaskFile(f"Line {number} of '{name}' is no JSON object.")
        columns.update(dict.fromkeys(row))
        rows.append(row)
    return Table(tuple(columns), rows)


def _read_parquet(content: bytes, name: str) -> Table:
    # Here, for it is large and most tasks need none of it.
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(pyarrow.BufferReader(content))
    except (pyarrow.ArrowException, OSError) as error:
        raise InvalidTaskFile(f"'{name}' is no Parquet file: {str(error).splitlines()[0]}") from error
    return Table(tuple(table.column_names), table.to_pylist())


READERS: Mapping[str, Callable[[bytes, str], Table]] = {
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".jsonl": _read_jsonl,
    ".parquet": _read_parquet,
}


def _decoded(content: bytes, name: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # The decoder counts from behind a byte order mark.
        offset = error.start + len(content) - len(error.object)
        raise InvalidTaskFile(
            f"'{name}' is not UTF-8: the byte at offset {offset} (0x{content[offset]:02x}) cannot be read. "
            "Save it as UTF-8."
        ) from error
