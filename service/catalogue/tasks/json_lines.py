"""Read JSONL: one object a line, as UTF-8. A key that only some of the lines have is a column, too."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

from service.catalogue.tasks.limits import LONGEST_LINE
from service.catalogue.tasks.tables import ABSENT, Cells, Table, check_row_count, checked_columns, not_utf8
from service.errors import InvalidTaskFile

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def open_json_lines(file: BinaryIO, name: str) -> Table:
    """Open a JSONL file, and read it once for its keys.

    Raises:
        InvalidTaskFile: If a line is no JSON object.
    """
    columns: dict[str, None] = {}
    shapes: set[frozenset[str]] = set()
    previous: tuple[str, ...] | None = None
    rows = 0
    for rows, row in enumerate(_objects(file, name), 1):
        check_row_count(rows, name)
        keys = tuple(row)
        if keys != previous:
            previous = keys
            columns.update(row)
            shapes.add(frozenset(keys))
            checked_columns(tuple(columns), file=name)

    def cells(wanted: Sequence[str]) -> Iterator[Cells]:
        for row in _objects(file, name):
            yield tuple(row.get(column, ABSENT) for column in wanted)

    return Table(name, tuple(columns), cells, count=lambda: rows, shapes=frozenset(shapes))


def _objects(file: BinaryIO, name: str) -> Iterator[dict[str, Any]]:
    for number, line in _lines(file, name):
        try:
            row = json.loads(line, object_pairs_hook=_without_repeats)
            if "\\u" in line:
                json.dumps(row, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise InvalidTaskFile(
                f"Line {number} of '{name}' has half a surrogate pair, which is no character. Write it anew."
            ) from error
        except (ValueError, RecursionError) as error:
            if line.strip() in ("[", "{"):
                raise _no_object(name, number) from error
            raise InvalidTaskFile(f"Line {number} of '{name}' is no JSON: {error}.") from error
        if not isinstance(row, dict):
            raise _no_object(name, number)
        yield row


def _no_object(name: str, number: int) -> InvalidTaskFile:
    return InvalidTaskFile(
        f"Line {number} of '{name}' is no JSON object. JSONL has one a line, and no list around them."
    )


def _lines(file: BinaryIO, name: str) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not blank, by number. U+2028 may stand in a JSON string and ends none."""
    file.seek(0)
    offset = number = 0
    while line := file.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) > LONGEST_LINE:
            raise InvalidTaskFile(
                f"Line {number} of '{name}' has more than {LONGEST_LINE:,} bytes, the limit."
            )
        content = line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line
        try:
            text = content.decode()
        except UnicodeDecodeError as error:
            at = error.start + len(line) - len(content)
            raise not_utf8(name, offset=offset + at, byte=line[at], line=number) from error
        offset += len(line)
        if text.strip():
            yield number, text


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice in an object")
    return found
