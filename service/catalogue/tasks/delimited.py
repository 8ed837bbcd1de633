"""Read CSV and TSV: which character separates the cells, the header, and the cells row by row.

The separator is a comma, or for TSV a tab, unless that does not fit header and rows and another one
does. Excel's first line `sep=;` decides. TSV with tabs has no quoting, unless the header has it.
"""

import codecs
import csv
import io
import re
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple, TextIO

from service.catalogue.tasks.limits import LONGEST_CELL
from service.catalogue.tasks.tables import Cells, Table, check_row_count, checked_columns, ending, not_utf8
from service.errors import InvalidTaskFile

csv.field_size_limit(LONGEST_CELL)

SAMPLE_BYTES = 2**18
SAMPLE_ROWS = 50
SEPARATOR_LINE = re.compile(r'"?sep=([^\r\n])"?(?:\r?\n|\Z)', re.IGNORECASE)
QUOTED_HEADER = re.compile(r'\s*"[^"\r\n]*"(?:\t"[^"\r\n]*")*[ ]*(?:\r?\n|\Z)')
SEPARATORS = {".csv": (",", "\t", ";", "|"), ".tsv": ("\t", ",", ";", "|")}
SHOWN = {"\t": "a tab", ",": "a comma", ";": "a semicolon", "|": "a bar"}
CHUNK_BYTES = 2**20


@dataclass(frozen=True)
class Dialect:
    """How the cells of a file are separated, and whether its first line says so."""

    separator: str
    quoted: bool
    begins_with_separator: bool = False


class Fitness(NamedTuple):
    """How well a separator fits a file; the larger, the better."""

    most: bool
    """Whether most rows have the cells of a header of several columns."""
    several: bool
    every: bool
    columns: int


def open_delimited(file: BinaryIO, name: str) -> Table:
    """Open a CSV or TSV file.

    Raises:
        InvalidTaskFile: If it is not UTF-8, or its header cannot be one.
    """
    dialect = dialect_of(file, ending(name))
    with closing(_lines(file, name, dialect)) as lines:
        _, header = next(lines, (0, []))
    # What has no name, such as the numbers of rows or what a comma at the end opens, is no column.
    named = [(column.strip(), place) for place, column in enumerate(header) if column.strip()]
    columns = checked_columns([column for column, _ in named], file=name)
    if any("\0" in column for column in columns):
        raise InvalidTaskFile(f"'{name}' has zero bytes, as UTF-16 has. Save it as UTF-8.")
    places = dict(named)

    def cells(wanted: Sequence[str]) -> Iterator[Cells]:
        picked = [places[column] for column in wanted]
        for row in _rows(file, name, dialect, width=len(header)):
            yield tuple(row[place] for place in picked)

    return Table(name, columns, cells, count=lambda: _count(cells(()), name))


def _count(rows: Iterator[Cells], name: str) -> int:
    number = 0
    for number, _ in enumerate(rows, 1):
        check_row_count(number, name)
    return number


def _rows(file: BinaryIO, name: str, dialect: Dialect, *, width: int) -> Iterator[list[str]]:
    # Closed with the error that ends it, not later, when the file may be closed already.
    with closing(_lines(file, name, dialect)) as lines:
        next(lines, None)
        for number, cells in lines:
            if not _fits(cells, width):
                separator = SHOWN.get(dialect.separator, f"'{dialect.separator}'")
                raise InvalidTaskFile(
                    f"Line {number} of '{name}' has {len(cells)} cells where the header has {width}; "
                    f"they are taken to be separated by {separator}."
                )
            yield cells


def _fits(cells: Sequence[str], width: int) -> bool:
    """Return whether a row has the cells of the header. A comma at its end opens one more, which is empty."""
    return len(cells) >= width and not any(cells[width:])


def _lines(file: BinaryIO, name: str, dialect: Dialect) -> Generator[tuple[int, list[str]]]:
    """Yield each record's cells with the number of its last line."""
    file.seek(0)
    # Quotes may enclose the end of a line; without them, any end of a line is one.
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="" if dialect.quoted else None)
    try:
        before = 1 if dialect.begins_with_separator and text.readline() else 0
        for number, cells in _records(text, dialect):
            yield number + before, cells
    except UnicodeDecodeError as error:
        raise _at_first_bad_byte(file, name) from error
    except csv.Error as error:
        raise InvalidTaskFile(
            f"'{name}' is no CSV {error}. Is a quotation mark left open? "
            'One within a cell is written twice ("").'
        ) from error
    finally:
        text.detach()  # or the file would be closed with it


def _records(text: TextIO, dialect: Dialect) -> Iterator[tuple[int, list[str]]]:
    """Yield the records that have a cell with something in it: blank lines stand before headers, too."""
    if not dialect.quoted:
        for number, line in enumerate(text, 1):
            cells = line.rstrip("\n").split(dialect.separator)
            if any(cells):
                yield number, cells
        return
    reader = csv.reader(text, delimiter=dialect.separator, strict=True)
    try:
        for cells in reader:
            if any(cells):
                yield reader.line_num, cells
    except csv.Error as error:
        raise csv.Error(f"at line {reader.line_num}: {error}") from error


def dialect_of(file: BinaryIO, suffix: str) -> Dialect:
    """Return how the cells of a file with the ending `.csv` or `.tsv` are separated."""
    file.seek(0)
    content = file.read(SAMPLE_BYTES)
    sample = content.decode("utf-8-sig", errors="replace")
    stated = SEPARATOR_LINE.match(sample)
    if stated is not None:
        return Dialect(stated[1], quoted=True, begins_with_separator=True)
    # Who puts the names of columns into quotation marks does so with cells.
    quoted = suffix == ".csv" or QUOTED_HEADER.match(sample) is not None
    candidates = [Dialect(separator, quoted=quoted or separator != "\t") for separator in SEPARATORS[suffix]]
    whole = len(content) < SAMPLE_BYTES
    fitness = {dialect: _fitness(sample, dialect, whole=whole) for dialect in candidates}
    # max() takes the first of those that are alike.
    best, usual = max(candidates, key=fitness.__getitem__), candidates[0]
    # Any line is one column of something. Where the usual separator breaks off instead, say why.
    is_broken = not fitness[best].several and fitness[usual].columns > 1
    return usual if is_broken else best


def _fitness(sample: str, dialect: Dialect, *, whole: bool) -> Fitness:
    """Return how well the rows of a sample fit their header."""
    lines = io.StringIO(sample, newline="" if dialect.quoted else None)
    records: list[list[str]] = []
    try:
        for _, cells in _records(lines, dialect):
            records.append(cells)
            if len(records) > SAMPLE_ROWS:
                break
        else:
            # The end of the sample may have cut the last one.
            records = records if whole else records[:-1]
    except csv.Error:
        # Where nothing is left to read, the end of the sample may lie within a cell.
        if whole or lines.read(1):
            return Fitness(False, False, False, columns=len(records[0]) if records else 0)
    header, *rows = records or [[]]
    fit = [_fits(row, len(header)) for row in rows]
    several = len(header) > 1
    return Fitness(several and 2 * sum(fit) >= len(fit), several, all(fit), len(header))


def _at_first_bad_byte(file: BinaryIO, name: str) -> InvalidTaskFile:
    """Find the first byte that is not UTF-8; the error of a stream knows its place in a chunk only."""
    file.seek(0)
    decoder = codecs.getincrementaldecoder("utf-8")()
    before, line = 0, 1
    while True:
        chunk = file.read(CHUNK_BYTES)
        kept, _ = decoder.getstate()
        try:
            decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            offset = before - len(kept) + error.start
            line += chunk.count(b"\n", 0, offset - before)
            return not_utf8(name, offset=offset, byte=error.object[error.start], line=line)
        before += len(chunk)
        line += chunk.count(b"\n")
