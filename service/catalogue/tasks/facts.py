"""Read a task's files: its rows, and the facts by which a study is judged. Knows no names of tasks."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from api_schemas.catalogue import LabelCount, TaskPreview
from api_schemas.tasks import ScoreMetric, Task, TaskKind
from service.catalogue.tasks.folds import FEW_ROWS, PoolFacts, pool_facts, pool_of
from service.catalogue.tasks.places import open_file
from service.catalogue.tasks.rows import Row, read_rows
from service.catalogue.tasks.splits import SPLITS, three_splits
from service.catalogue.tasks.tables import Table, open_table
from service.errors import InvalidTask, InvalidTaskFile


@dataclass(frozen=True)
class TaskFacts:
    """What must be known of a task to judge a study."""

    name: str
    kind: TaskKind
    labels: tuple[str, ...]
    takes_pairs: bool
    split_rows: tuple[int, int, int]
    """How many rows train, validation and test have."""
    names_validation: bool = False
    """Whether the source has a validation split of its own."""
    pool: PoolFacts | None = None
    """Of the rows that are dealt into folds; None where folds are neither asked for nor the default."""
    dropped: Mapping[str, int] = field(default_factory=dict)
    """How many rows of files are left out, by the reason."""

    @property
    def classes(self) -> int:
        """How many outputs the head has: one for each label, or one for a value."""
        return 1 if self.kind is TaskKind.REGRESSION else len(self.labels)

    def chance_score(self, score: ScoreMetric) -> float | None:
        """Return the score of guessing, the natural worst; None where there is none."""
        if score is ScoreMetric.NEGATIVE_LOSS:
            return None
        if score is ScoreMetric.ACCURACY and self.kind is TaskKind.CLASSIFICATION:
            return 1 / self.classes
        return 0.0


@dataclass(frozen=True)
class TaskData:
    """The facts of a task with its rows; `dropped` counts the rows left out, by the reason."""

    facts: TaskFacts
    splits: Mapping[str, list[Row]]
    dropped: Mapping[str, int]


@dataclass(frozen=True)
class SourceFiles:
    """The files of each split below a folder, and what is known of them from elsewhere."""

    folder: Path
    by_split: tuple[tuple[str, tuple[str, ...]], ...]
    class_names: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Of columns, what their numbers stand for."""
    left_out: int = 0
    """How many files of the source are of no split."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """All files."""
        return tuple(self.folder / file for _, of_split in self.by_split for file in of_split)


def read_task(task: Task, files: SourceFiles) -> TaskData:
    """Read, check and split the rows of files.

    Raises:
        InvalidTask: If they cannot be used; the errors point at the guilty fields.
    """
    kind = task.resolved_kind
    try:
        rows = read_rows(_tables(task, files), task, kind=kind, class_names=dict(files.class_names))
    except InvalidTaskFile as error:
        raise InvalidTask({"name": error.detail}) from error
    splits = three_splits(rows.by_split, kind=kind)
    dropped = {
        **rows.dropped,
        "groups_of_other_splits": sum(map(len, rows.by_split.values())) - sum(map(len, splits.values())),
        "files_of_other_splits": files.left_out,
    }
    may_be_dealt = task.folds is not None or len(splits["train"]) + len(splits["validation"]) < FEW_ROWS
    train, validation, test = (len(splits[split]) for split in SPLITS)
    facts = TaskFacts(
        name=task.name,
        kind=kind,
        labels=rows.labels,
        takes_pairs=task.text_pair_column is not None,
        split_rows=(train, validation, test),
        names_validation="validation" in rows.by_split,
        pool=pool_facts(pool_of(splits, task, kind=kind), labels=rows.labels) if may_be_dealt else None,
        dropped={reason: count for reason, count in dropped.items() if count},
    )
    return TaskData(facts, splits, facts.dropped)


def preview_of_rows(data: TaskData) -> TaskPreview:
    """Return what is in rows that were read; labels in their own order."""
    rows = [row.label for split in data.splits.values() for row in split]
    facts, counts = data.facts, Counter[int]()
    is_value = facts.kind is TaskKind.REGRESSION
    for label in () if is_value else rows:
        counts.update(label if isinstance(label, tuple) else [int(label)])
    values = [label for label in rows if is_value and not isinstance(label, tuple)]
    train, validation, test = facts.split_rows
    return TaskPreview(
        kind=facts.kind,
        labels=tuple(
            LabelCount(label=label, rows=counts[number]) for number, label in enumerate(facts.labels)
        ),
        least=min(values, default=None),
        largest=max(values, default=None),
        train_rows=train,
        validation_rows=validation,
        test_rows=test,
        dropped={reason: count for reason, count in data.dropped.items() if count},
    )


def _tables(task: Task, files: SourceFiles) -> Iterator[tuple[str, Table]]:
    """Open one file after the other."""
    for split, of_split in files.by_split:
        for name in of_split:
            with open_file(files.folder / name, in_cache=task.is_hub) as file:
                # The very bytes that are read, whatever takes the place of the file meanwhile.
                if task.sha256 not in (None, hashlib.file_digest(file, "sha256").hexdigest()):
                    raise InvalidTask(
                        {"sha256": f"'{name}' has changed since the study was posted; post it anew"}
                    )
                yield split, open_table(file, name=name)
