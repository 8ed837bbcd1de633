"""Turn the cells of tables into rows with labels, and find everything that is wrong with them.

Empty texts, rows without a label and repeated texts are dropped and counted. Knows no files and no
split sizes.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from api_schemas.tasks import DEFAULT_LABEL_COLUMN, DEFAULT_TEXT_COLUMN, Task, TaskKind
from service.errors import InvalidTask
from service.task_catalogue.tables import Table

Label = int | float | tuple[int, ...]
"""The number of a class; the numbers of the labels that apply, ascending; or a value."""

LABEL_SEPARATOR = "|"
HIDDEN_LABELS = ("-1", -1.0)
"""What benchmarks write instead of the labels of a test split that they keep to themselves."""
NAMES_SHOWN = 10


@dataclass(frozen=True)
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


@dataclass(frozen=True)
class _Cells:
    """A row whose label is not yet a number: a name, names, or a value; None where there is none."""

    text: str
    pair: str | None
    group: str | None
    label: Any


def read_rows(tables: Mapping[str, Table], task: Task, *, kind: TaskKind) -> Rows:
    """Read the rows of each named split.

    Raises:
        InvalidTask: If a column is missing, every text is empty, a label is not of the kind, or the
            labels leave nothing to learn.
    """
    _check_columns(tables, task)
    dropped: Counter[str] = Counter()
    cells = {split: list(_cells(table, task, kind=kind, dropped=dropped)) for split, table in tables.items()}
    if not any(cells.values()) and dropped["empty_texts"]:
        raise InvalidTask({"text_column": f"every text of the column '{_text_column(task)}' is empty"})
    if not cells["train"]:
        raise InvalidTask({"name": f"'{task.name}' has 0 training rows with a label"})
    cells = {split: rows for split, rows in cells.items() if not _is_hidden(split, rows)}
    labels = () if kind is TaskKind.REGRESSION else _label_names(cells["train"])
    _check_labels(cells, labels, kind=kind)
    numbers = {name: number for number, name in enumerate(labels)}
    found = {split: [_numbered(row, numbers) for row in rows] for split, rows in cells.items()}
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


def _check_columns(tables: Mapping[str, Table], task: Task) -> None:
    wanted = {
        "text_column": _text_column(task),
        "text_pair_column": task.text_pair_column,
        "label_column": _label_column(task),
        "group_column": task.group_column,
    }
    missing = {
        field: f"there is no column '{column}'; there are: {', '.join(table.columns)}"
        for table in tables.values()
        for field, column in wanted.items()
        if column is not None and column not in table.columns
    }
    if missing:
        raise InvalidTask(missing)


def _cells(table: Table, task: Task, *, kind: TaskKind, dropped: Counter[str]) -> Iterator[_Cells]:
    text_column, label_column = _text_column(task), _label_column(task)
    for number, row in enumerate(table.rows, 1):
        text = _text(row.get(text_column), field="text_column", number=number)
        pair = None
        if task.text_pair_column is not None:
            pair = _text(row.get(task.text_pair_column), field="text_pair_column", number=number)
        if not text or pair == "":
            dropped["empty_texts"] += 1
            continue
        label = _label(row.get(label_column), kind=kind, number=number)
        if label is None:
            dropped["missing_labels"] += 1
            continue
        group = None if task.group_column is None else _name(row.get(task.group_column))
        yield _Cells(text, pair, group, label)


def _text(cell: object, *, field: str, number: int) -> str:
    if cell is None:
        return ""
    if not isinstance(cell, str):
        raise InvalidTask({field: f"row {number} has {cell!r:.100} where a text should be"})
    return cell.strip()


def _label(cell: Any, *, kind: TaskKind, number: int) -> Any:
    if kind is TaskKind.REGRESSION:
        return _value(cell, number=number)
    if isinstance(cell, dict):
        raise InvalidTask({"label_column": f"row {number} has {cell!r:.100} where a label should be"})
    if kind is TaskKind.CLASSIFICATION:
        if isinstance(cell, list):
            raise InvalidTask(
                {"label_column": f"row {number} has a list of labels; set kind to multi_label for those"}
            )
        return _name(cell)
    if cell is None:
        return None
    names = cell if isinstance(cell, list) else str(cell).split(LABEL_SEPARATOR)
    return frozenset(name for name in map(_name, names) if name is not None)


def _value(cell: object, *, number: int) -> float | None:
    if cell is None or cell == "":
        return None
    try:
        value = float(cell)  # type: ignore[arg-type]  # whatever float() cannot take is refused below
    except (TypeError, ValueError, OverflowError):
        value = math.nan
    if not math.isfinite(value):
        raise InvalidTask({"label_column": f"row {number} has {cell!r:.100} where a number should be"})
    return value


def _name(cell: object) -> str | None:
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return None
    if isinstance(cell, bool):
        return str(cell).lower()
    # Whole numbers become floats in any column that also has gaps.
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).strip() or None


def _is_hidden(split: str, rows: Sequence[_Cells]) -> bool:
    return split != "train" and all(row.label in HIDDEN_LABELS for row in rows)


def _names(row: _Cells) -> frozenset[str]:
    return row.label if isinstance(row.label, frozenset) else frozenset((row.label,))


def _label_names(rows: Sequence[_Cells]) -> tuple[str, ...]:
    names = frozenset().union(*map(_names, rows))
    if all(name.isdecimal() for name in names):
        return tuple(sorted(names, key=int))
    return tuple(sorted(names))


def _check_labels(cells: Mapping[str, Sequence[_Cells]], labels: tuple[str, ...], *, kind: TaskKind) -> None:
    train = cells["train"]
    if kind is TaskKind.CLASSIFICATION and len(labels) == 1:
        raise InvalidTask({"label_column": f"every training row has the one class '{labels[0]}'"})
    if len({row.label for row in train}) == 1:
        raise InvalidTask({"label_column": "every training row has the same label: nothing can be learnt"})
    if kind is TaskKind.REGRESSION:
        return
    for split, rows in cells.items():
        unseen = sorted(frozenset().union(*map(_names, rows)) - set(labels))
        if unseen:
            raise InvalidTask(
                {"label_column": f"the {split} split has labels that train lacks: {_listed(unseen)}"}
            )


def _listed(names: Sequence[str]) -> str:
    more = ", ..." if len(names) > NAMES_SHOWN else ""
    return ", ".join(f"'{name:.100}'" for name in names[:NAMES_SHOWN]) + more


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
