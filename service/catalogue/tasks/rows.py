"""Turn the cells of tables into rows with labels, and find everything that is wrong with them.

Empty texts, rows without a label and repeated texts are dropped and counted. Knows no formats and no
split sizes.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from api_schemas.tasks import DEFAULT_LABEL_COLUMN, DEFAULT_TEXT_COLUMN, Task, TaskKind
from service.catalogue.tasks.label_names import FileLabels, doubts, in_order
from service.catalogue.tasks.labels import Answer, LabelReader, Unreadable, as_text, name_of, shown
from service.catalogue.tasks.limits import LONGEST_CELL, MAX_ROWS, MAX_UNPACKED
from service.catalogue.tasks.tables import ABSENT, Table, column_of, ending, is_empty, listed
from service.errors import InvalidTask

Label = int | float | tuple[int, ...]
"""The number of a class; the numbers of the labels that apply, ascending; or a value."""

HIDDEN_LABELS = ("-1", -1.0, frozenset({"-1"}))
"""What benchmarks write instead of the labels of a test split that they keep to themselves."""
TYPED = (".jsonl", ".parquet")
"""Formats in which a number and a text differ."""


@dataclass(frozen=True, slots=True)
class Row:
    """A text, or a pair of them, with its label; rows of one group stay in one split."""

    text: str
    label: Label
    pair: str | None = None
    group: str | None = None


@dataclass(frozen=True)
class Rows:
    """The rows of each split that the source names, the names of the labels, and what was dropped."""

    by_split: Mapping[str, Sequence[Row]]
    labels: tuple[str, ...]
    dropped: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class _Cells:
    """A row whose label is not yet a number."""

    text: str
    pair: str | None
    group: str | None
    label: Answer


@dataclass
class _Reading:
    """What was read so far."""

    dropped: Counter[str] = field(default_factory=Counter)
    rows: int = 0
    unpacked: int = 0
    labels: dict[str, dict[str, FileLabels]] = field(default_factory=dict)
    """Of each file of each split."""


def read_rows(
    tables: Iterable[tuple[str, Table]],
    task: Task,
    *,
    kind: TaskKind,
    class_names: Mapping[str, tuple[str, ...]] | None = None,
) -> Rows:
    """Read the rows of each split from its tables; `class_names` come before those of the files.

    Raises:
        InvalidTask: If a column is missing, every text is empty, a label is not of the kind or has two
            readings, or the labels leave nothing to learn.
        InvalidTaskFile: If a file cannot be read.
    """
    reading = _Reading()
    cells: dict[str, list[_Cells]] = {}
    for split, table in tables:
        _check_columns(table, task)
        reader = _label_reader(table, task, kind=kind, class_names=class_names or {})
        seen = FileLabels(typed=ending(table.file) in TYPED, class_names=reader.class_names)
        reading.labels.setdefault(split, {})[table.file] = seen
        before = reading.rows
        cells.setdefault(split, []).extend(
            _cells(table, task, reader=reader, reading=reading, names=seen.names)
        )
        if reading.rows == before:
            raise is_empty(table)
    if not any(cells.values()) and reading.dropped["empty_texts"]:
        raise InvalidTask({"text_column": f"every text of the column '{_text_column(task)}' is empty"})
    if not cells["train"]:
        raise InvalidTask({"name": f"'{task.name}' has 0 training rows with a label"})
    cells = {
        split: rows
        for split, rows in cells.items()
        if split == "train" or any(row.label not in HIDDEN_LABELS for row in rows)
    }
    by_split = {split: reading.labels[split] for split in cells}
    labels = () if kind is TaskKind.REGRESSION else _label_names(by_split, task, kind=kind)
    _check_labels(cells["train"], by_split, labels, kind=kind)
    numbers = {name: number for number, name in enumerate(labels)}
    found = {split: [_numbered(row, numbers) for row in rows] for split, rows in cells.items()}
    dropped = reading.dropped
    return Rows(by_split=without_repeats(found, dropped=dropped), labels=labels, dropped=dict(dropped))


def without_repeats(
    by_split: Mapping[str, Sequence[Row]], *, dropped: Counter[str]
) -> dict[str, Sequence[Row]]:
    """Keep every text once, and in one split: in the test split before validation before train.

    A text that stands in a split with two different labels is left out; with two different values
    it gets their mean.
    """
    kept: dict[str, Sequence[Row]] = {}
    elsewhere: set[tuple[str, str | None]] = set()
    for split in ("test", "validation", "train"):
        same: dict[tuple[str, str | None], list[Row]] = {}
        for row in by_split.get(split, ()):
            same.setdefault((row.text, row.pair), []).append(row)
        first = {text: rows for text, rows in same.items() if text not in elsewhere}
        merged = {text: _merged(rows) for text, rows in first.items()}
        kept[split] = [row for row in merged.values() if row is not None]
        conflicting = sum(len(first[text]) for text, row in merged.items() if row is None)
        dropped["conflicting_labels"] += conflicting
        dropped["repeated_texts"] += len(by_split.get(split, ())) - len(kept[split]) - conflicting
        elsewhere |= same.keys()
    return {split: kept[split] for split in by_split}


def _merged(rows: Sequence[Row]) -> Row | None:
    first = rows[0]
    if all(row.label == first.label for row in rows):
        return first
    if not isinstance(first.label, float):
        return None
    mean = math.fsum(float(row.label) for row in rows if not isinstance(row.label, tuple)) / len(rows)
    return Row(first.text, mean, first.pair, first.group)


def _check_columns(table: Table, task: Task) -> None:
    if not table.columns:
        raise is_empty(table)
    missing = {
        name: f"'{table.file}' has no column '{column}'; there are: {listed(table.columns)}"
        for name, column in _columns(task).items()
        if column_of(table, column) is None
    }
    if missing:
        raise InvalidTask(missing)


def _columns(task: Task) -> dict[str, str]:
    """Return the column of each field of the task that names one: text and label first."""
    named = {
        "text_column": _text_column(task),
        "label_column": _label_column(task),
        "text_pair_column": task.text_pair_column,
        "group_column": task.group_column,
    }
    return {name: column for name, column in named.items() if column is not None}


def _label_reader(
    table: Table, task: Task, *, kind: TaskKind, class_names: Mapping[str, tuple[str, ...]]
) -> LabelReader:
    wanted = _label_column(task)
    column = column_of(table, wanted) or wanted
    given = class_names.get(column) or class_names.get(wanted) or table.class_names.get(column, ())
    # As cells are written, `True` too; where that makes two names one, they stay what they are.
    names = tuple(name_of(name) or name for name in given)
    names = names if len(set(names)) == len(names) else given
    missing = filter(None, map(name_of, task.missing_labels or ()))
    return LabelReader(kind, class_names=names, typed=ending(table.file) in TYPED, missing=frozenset(missing))


def _cells(
    table: Table, task: Task, *, reader: LabelReader, reading: _Reading, names: set[str]
) -> Iterator[_Cells]:
    columns = {name: column_of(table, column) or column for name, column in _columns(task).items()}
    foreign = {name: listed(sorted(table.foreign_to(column))) for name, column in columns.items()}
    for number, cells in enumerate(table.cells(tuple(columns.values())), 1):
        row = dict(zip(columns, cells, strict=True))
        try:
            if ABSENT in cells:
                _drop_absent(row, columns, foreign)
            found = _row(row, reader=reader, reading=reading)
        except _UnreadableField as error:
            where = f"'{table.file}': row {number}" if task.is_hub else f"row {number}"
            raise InvalidTask({error.field: f"{where} has {error}"}) from error
        if found is not None:
            if not isinstance(found.label, float):
                names.update((found.label,) if isinstance(found.label, str) else found.label)
            yield found


class _UnreadableField(ValueError):
    """A cell of the field's column cannot be what it should be; the text goes on after 'row 3 has'."""

    def __init__(self, field: str, reason: object) -> None:
        super().__init__(str(reason))
        self.field = field


def _drop_absent(row: dict[str, Any], columns: Mapping[str, str], foreign: Mapping[str, str]) -> None:
    """Make nothing of cells that are not there, in a row that could be one with them."""
    for name in [name for name, cell in row.items() if cell is ABSENT]:
        if foreign[name]:
            # A row of another kind, whose text would pass for an empty one.
            raise _UnreadableField(name, f"no '{columns[name]}', but {foreign[name]}")
        row[name] = None


def _row(row: Mapping[str, Any], *, reader: LabelReader, reading: _Reading) -> _Cells | None:
    """Read a row; None where text or label is missing."""
    field = "text_column"
    try:
        text, pair, group = _text(row[field]), None, None
        if "text_pair_column" in row:
            field = "text_pair_column"
            pair = _text(row[field])
        _count(reading, len(text) + len(pair or ""))
        if not text or pair == "":
            reading.dropped["empty_texts"] += 1
            return None
        field = "label_column"
        label = reader.read(row[field])
        if label is None:
            reading.dropped["missing_labels"] += 1
            return None
        if "group_column" in row:
            field = "group_column"
            group = _group(row[field])
    except Unreadable as error:
        raise _UnreadableField(field, error) from error
    return _Cells(text, pair, group, label)


def _count(reading: _Reading, characters: int) -> None:
    reading.rows += 1
    reading.unpacked += characters
    if reading.rows > MAX_ROWS:
        raise InvalidTask({"name": f"the files have more than {MAX_ROWS:,} rows, which is the limit"})
    if reading.unpacked > MAX_UNPACKED:
        raise InvalidTask(
            {"name": f"the texts have more than {MAX_UNPACKED:,} characters, which is the limit"}
        )


def _text(cell: Any) -> str:
    text = as_text(cell)
    if text is None:
        return ""
    if not isinstance(text, str):
        raise Unreadable(f"{shown(cell)} where a text should be")
    if len(text) > LONGEST_CELL:
        raise Unreadable(f"a text of {len(text):,} characters; the limit is {LONGEST_CELL:,}")
    return text


def _group(cell: Any) -> str | None:
    group = as_text(cell)
    if not isinstance(group, str | int | float | None):
        raise Unreadable(f"{shown(cell)} where the name of a group should be")
    return name_of(group)


def _label_names(
    by_split: Mapping[str, Mapping[str, FileLabels]], task: Task, *, kind: TaskKind
) -> tuple[str, ...]:
    by_file = {file: seen for of_split in by_split.values() for file, seen in of_split.items()}
    doubt = doubts(by_file, kind=kind, asked_for_missing=task.missing_labels is not None)
    if doubt is not None:
        raise InvalidTask({"label_column": doubt})
    train = by_split["train"].values()
    return in_order(
        set().union(*(seen.names for seen in train)), class_names=next(seen.class_names for seen in train)
    )


def _check_labels(
    train: Sequence[_Cells],
    by_split: Mapping[str, Mapping[str, FileLabels]],
    labels: tuple[str, ...],
    *,
    kind: TaskKind,
) -> None:
    if kind is TaskKind.CLASSIFICATION and len(labels) == 1:
        raise InvalidTask({"label_column": f"every training row has the one class '{labels[0]}'"})
    if len({row.label for row in train}) == 1:
        raise InvalidTask({"label_column": "every training row has the same label: nothing can be learnt"})
    if kind is TaskKind.REGRESSION:
        return
    for split, of_split in by_split.items():
        unseen = in_order(set().union(*(seen.names for seen in of_split.values())) - set(labels))
        if unseen:
            quoted = listed([f"'{name:.100}'" for name in unseen])
            raise InvalidTask({"label_column": f"the {split} split has labels that train lacks: {quoted}"})


def _numbered(row: _Cells, numbers: Mapping[str, int]) -> Row:
    label: Label
    if isinstance(row.label, frozenset):
        label = tuple(sorted(numbers[name] for name in row.label))
    else:
        label = numbers[row.label] if isinstance(row.label, str) else row.label
    return Row(row.text, label, row.pair, row.group)


def _text_column(task: Task) -> str:
    return task.text_column or DEFAULT_TEXT_COLUMN


def _label_column(task: Task) -> str:
    return task.label_column or DEFAULT_LABEL_COLUMN
