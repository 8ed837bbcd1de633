"""What a file of rows holds: its columns, which may be the text and the label, and how many rows train.

The file is read by the code with which the server reads uploads, so what is said here is what will be.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from api_schemas.tasks import FILE_PREFIX, ScoreMetric, Task, TaskKind
from paretune.errors import ParetuneError

if TYPE_CHECKING:
    from service.catalogue.tasks.tables import Table

SAMPLE_ROWS = 2000
TEXT_NAMES = ("text", "sentence", "review", "content", "message", "body", "comment", "tweet", "utterance",
              "question", "document", "description", "premise", "title")  # fmt: skip
LABEL_NAMES = ("label", "labels", "class", "category", "target", "sentiment", "intent", "topic", "rating",
               "stars", "score", "emotion", "y")  # fmt: skip
MOST_LABELS = 50
"""Different values of a column that may be a class without being called one."""
ROWS_OF_A_LABEL = 4
SEVERAL = "|"
UNEVEN = 0.7
"""A class with a larger share of the rows makes accuracy say little."""
LONGEST_NAME = 80
"""Characters of a column's name; a longer one is a text of the first row."""


class UnreadableTable(ParetuneError):
    """The file is no table, or not one that can be trained on."""


@dataclass(frozen=True)
class Column:
    """A column by a sample of its cells, as texts."""

    name: str
    cells: tuple[str, ...]
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def characters(self) -> float:
        """Mean length of a cell."""
        return sum(map(len, self.cells)) / max(len(self.cells), 1)

    @property
    def may_be_classes(self) -> bool:
        """Whether its values repeat as classes do."""
        return 2 <= len(self.counts) <= MOST_LABELS and len(self.cells) >= ROWS_OF_A_LABEL * len(self.counts)


@dataclass(frozen=True)
class Guess:
    """Which column is meant; `sure` if its name says so or no other may be."""

    column: str | None
    sure: bool = False


@dataclass(frozen=True)
class Contents:
    """What training on a file would find."""

    task: Task
    labels: tuple[str, ...]
    split_rows: tuple[int, int, int]
    dropped: Mapping[str, int]


def look_at(file: Path) -> tuple[Column, ...]:
    """Return the columns of a file, with what its first rows have in them.

    Raises:
        UnreadableTable: If it is no table; the message names the line where reading ends.
    """
    with _table_of(file) as table:
        rows = list(islice(table.cells(table.columns), SAMPLE_ROWS))
        table.count()
    if not rows:
        raise UnreadableTable(f"'{file.name}' has no rows below the names of its columns.")
    return tuple(_column(name, [row[place] for row in rows]) for place, name in enumerate(table.columns))


def separator_of(file: Path) -> str | None:
    """Return in words what separates the cells of CSV and TSV; None for other formats."""
    from service.catalogue.tasks.delimited import SHOWN, dialect_of
    from service.catalogue.tasks.tables import ending

    if ending(file.name) not in (".csv", ".tsv"):
        return None
    with file.open("rb") as opened:
        separator = dialect_of(opened, ending(file.name)).separator
    return SHOWN.get(separator, f"'{separator}'")


def guess_text(columns: Sequence[Column]) -> Guess:
    """Return the column of texts: one that is called so, else the one with the longest cells."""
    named = _named(columns, TEXT_NAMES)
    if named is not None:
        return Guess(named, sure=True)
    longest = max(columns, key=lambda column: column.characters)
    return Guess(longest.name, sure=len(columns) == 2 and not longest.may_be_classes)


def guess_label(columns: Sequence[Column], *, text: str) -> Guess:
    """Return the column of labels: one that is called so, else the one whose values repeat as classes do."""
    others = [column for column in columns if column.name != text]
    named = _named(others, LABEL_NAMES)
    if named is not None:
        return Guess(named, sure=True)
    alike = [column.name for column in others if column.may_be_classes]
    if alike:
        return Guess(alike[-1], sure=len(alike) == 1)
    return Guess(others[0].name if len(others) == 1 else None)


def first_line_is_data(columns: Sequence[Column]) -> bool:
    """Return whether what should be names of columns reads like a row."""
    return any(len(column.name) > LONGEST_NAME or is_number(column.name) for column in columns)


def whole_column(file: Path, name: str) -> Column:
    """Return a column with all of its cells.

    Raises:
        UnreadableTable: If the file cannot be read.
    """
    with _table_of(file) as table:
        return _column(name, [row[0] for row in table.cells([name])])


def contents_of(
    file: Path, *, text: str, label: Column, kind: TaskKind, missing: tuple[str, ...] | None
) -> Contents:
    """Read the whole file as a task; `missing` becomes its `missing_labels`.

    Raises:
        UnreadableTable: If a study could not train on it; the message says which row, or what is missing.
    """
    from service.catalogue.tasks.facts import SourceFiles, read_task
    from service.errors import ServiceError

    place = file.resolve()
    labelled = [count for cell, count in label.counts.items() if cell not in (missing or ())]
    uneven = kind is TaskKind.CLASSIFICATION and max(labelled, default=0) > UNEVEN * sum(labelled)
    task = Task(
        name=f"{FILE_PREFIX}{file.name}",
        kind=kind,
        text_column=text,
        label_column=label.name,
        missing_labels=missing,
        score=ScoreMetric.MACRO_F1 if uneven else None,
    )
    try:
        data = read_task(task, SourceFiles(place.parent, (("train", (place.name,)),)))
    except ServiceError as error:
        raise UnreadableTable(
            f"'{file.name}' cannot be trained on with the texts of '{text}' and the labels of "
            f"'{label.name}': {error.detail}.{_options_for(error.detail)}"
        ) from error
    dropped = {reason: count for reason, count in data.dropped.items() if count}
    return Contents(task, data.facts.labels, data.facts.split_rows, dropped)


@contextmanager
def _table_of(file: Path) -> "Iterator[Table]":
    from service.catalogue.tasks.places import open_file
    from service.catalogue.tasks.tables import open_table
    from service.errors import ServiceError

    try:
        with open_file(file.resolve(), in_cache=False) as opened:
            yield open_table(opened, name=file.name)
    except ServiceError as error:
        raise UnreadableTable(error.detail) from error


def _options_for(problem: str) -> str:
    """Return the options that set the fields of a task which a refusal names; there is no study file yet."""
    of_missing = re.search(r"missing_labels to \[(\".*?\")\]", problem)
    if of_missing is not None:
        return f' Here: --missing-label {of_missing[1]} if so, and --missing-label "" if it is a class.'
    return " Here: --kind sets it." if re.search(r"\bkind\b", problem) else ""


def _column(name: str, cells: Sequence[object]) -> Column:
    texts = tuple(_texts(cells))
    return Column(name, texts, Counter(texts))


def _texts(cells: Sequence[object]) -> Iterator[str]:
    for cell in cells:
        if isinstance(cell, float) and math.isnan(cell):
            continue
        if isinstance(cell, list):
            yield SEVERAL.join(map(str, cell)) + SEVERAL
        elif isinstance(cell, str | int | float) and str(cell).strip():
            yield str(cell).strip()


def _named(columns: Sequence[Column], names: Sequence[str]) -> str | None:
    by_name = {column.name.lower(): column.name for column in columns}
    return next((by_name[name] for name in names if name in by_name), None)


def is_number(cell: str) -> bool:
    """Return whether a cell is a finite number."""
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False
