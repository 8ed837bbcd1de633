"""Open a CSV, TSV, JSONL or Parquet file as a table whose rows are read one by one. Knows no labels.

CSV is RFC 4180 with a header; TSV has a header and no quoting; JSONL is one object a line. Text is
UTF-8, with or without a byte order mark.
"""

import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import PurePath
from typing import Any, BinaryIO

from service.catalogue.tasks.limits import LONGEST_NAME, MAX_COLUMNS, MAX_ROWS
from service.errors import InvalidTaskFile

FORMATS = (".csv", ".tsv", ".jsonl", ".parquet")
NAMES_SHOWN = 10


class Absent(Enum):
    """A cell that a JSON object does not have, which is not the same as one that is null."""

    ABSENT = "absent"


ABSENT = Absent.ABSENT

Cells = tuple[Any, ...]


@dataclass(frozen=True)
class Table:
    """The named columns of a file, and a way to its rows.

    `cells(columns)` gives the cells of those columns, row by row; a cell of CSV and TSV is a string.
    `count()` reads the whole file and gives its rows. The file must stay open meanwhile.
    """

    file: str
    columns: tuple[str, ...]
    cells: Callable[[Sequence[str]], Iterator[Cells]]
    count: Callable[[], int]
    class_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Of the columns whose numbers stand for names, as the file itself tells."""
    shapes: frozenset[frozenset[str]] = frozenset()
    """Which keys stand together in a row, where not every row has every column."""

    def foreign_to(self, column: str) -> frozenset[str]:
        """Return the keys of rows without a column that no row with it has: rows of another kind."""
        having = frozenset[str]().union(*(shape for shape in self.shapes if column in shape))
        return frozenset[str]().union(*(shape for shape in self.shapes if column not in shape)) - having


def is_table(name: str) -> bool:
    """Return whether a file's name has the ending of a format that can be read."""
    return ending(name) in FORMATS


def ending(name: str) -> str:
    """Return the ending of a file's name in small letters, with its dot."""
    return PurePath(name).suffix.lower()


def open_table(file: BinaryIO, *, name: str) -> Table:
    """Open a table; the ending of `name` says how.

    Raises:
        InvalidTaskFile: If the bytes are no such table. Reading its rows may raise it, too.
    """
    # Here, for Parquet's library is large and the other formats need none of it.
    from service.catalogue.tasks.delimited import open_delimited
    from service.catalogue.tasks.foreign_formats import foreign_format
    from service.catalogue.tasks.json_lines import open_json_lines
    from service.catalogue.tasks.parquet import open_parquet

    if not is_table(name):
        raise InvalidTaskFile(f"'{name}' must end in one of {', '.join(FORMATS)}.")
    foreign = foreign_format(file, is_parquet=ending(name) == ".parquet")
    if foreign is not None:
        raise InvalidTaskFile(f"'{name}' is {foreign}.")
    openers = {".jsonl": open_json_lines, ".parquet": open_parquet}
    return openers.get(ending(name), open_delimited)(file, name)


def count_rows(table: Table) -> int:
    """Read a whole table and count its rows.

    Raises:
        InvalidTaskFile: If it cannot be read, has no rows, or too many.
    """
    rows = table.count()
    check_row_count(rows, table.file)
    if not rows:
        raise is_empty(table)
    return rows


def is_empty(table: Table) -> InvalidTaskFile:
    """Return the error for a table without rows."""
    return InvalidTaskFile(f"'{table.file}' is empty: it has no rows.")


def check_row_count(rows: int, name: str) -> None:
    """Raise InvalidTaskFile if there are too many rows."""
    if rows > MAX_ROWS:
        raise InvalidTaskFile(f"'{name}' has more than {MAX_ROWS:,} rows, which is the limit.")


def checked_columns(names: Sequence[str], *, file: str) -> tuple[str, ...]:
    """Return the names of the columns.

    Raises:
        InvalidTaskFile: If there are too many, one is too long, or two are the same.
    """
    if len(names) > MAX_COLUMNS:
        raise InvalidTaskFile(f"'{file}' has {len(names):,} columns; the limit is {MAX_COLUMNS:,}.")
    for name in names:
        if len(name) > LONGEST_NAME:
            raise InvalidTaskFile(
                f"'{file}' has a column whose name has {len(name):,} characters; the limit is "
                f"{LONGEST_NAME}. Is the first line the names of the columns?"
            )
    if len(set(names)) < len(names):
        raise InvalidTaskFile(f"'{file}' names a column twice: {listed(names)}.")
    return tuple(names)


def column_of(table: Table, name: str) -> str | None:
    """Return the column that a name means: itself, else the one that looks the same; None if there is none.

    Letters may be composed or not, and white space and characters that are not seen do not count.
    """
    if name in table.columns:
        return name
    alike = [column for column in table.columns if seen(column) == seen(name)]
    return alike[0] if len(alike) == 1 else None


def seen(name: str) -> str:
    """Return what a reader sees of a name."""
    letters = (letter for letter in name if unicodedata.category(letter) != "Cf")
    return unicodedata.normalize("NFC", "".join(letters)).strip()


def not_utf8(name: str, *, offset: int, byte: int, line: int) -> InvalidTaskFile:
    """Return the error for the byte at an offset."""
    return InvalidTaskFile(
        f"'{name}' is not UTF-8: the byte at offset {offset} (0x{byte:02x}), in line {line}, cannot be read. "
        "Save it as UTF-8."
    )


def listed(names: Sequence[str]) -> str:
    """Return the first of some names for a sentence."""
    more = ", ..." if len(names) > NAMES_SHOWN else ""
    return ", ".join(f"{name:.100}" for name in names[:NAMES_SHOWN]) + more
