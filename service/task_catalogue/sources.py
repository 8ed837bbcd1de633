"""The door to tasks: settle what a name means, learn the facts of a task, load its rows.

The API asks for facts and keeps them until a file changes; a worker loads the rows.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from api_schemas.tasks import ScoreMetric, Task, TaskKind
from service.errors import InvalidTask, InvalidTaskFile
from service.task_catalogue import hub_datasets
from service.task_catalogue.packaged import PACKAGED_TASKS, package_folder, packaged_task, read_packaged
from service.task_catalogue.places import file_path, settled_name
from service.task_catalogue.rows import Row, read_rows
from service.task_catalogue.splits import SPLITS, three_splits
from service.task_catalogue.tables import Table, read_table

MAX_HUB_BYTES = 2_000_000_000
FACTS_KEPT = 256

Stamp = tuple[str, int, int]
"""Path, time of the last change in nanoseconds, size in bytes: the same stamp, the same content."""


@dataclass(frozen=True)
class TaskFacts:
    """What must be known of a task to judge a study."""

    name: str
    kind: TaskKind
    labels: tuple[str, ...]
    takes_pairs: bool
    split_rows: tuple[int, int, int]
    """How many rows train, validation and test have."""

    @property
    def classes(self) -> int:
        """How many outputs the head has: one for each label, or one for a value."""
        return 1 if self.kind is TaskKind.REGRESSION else len(self.labels)

    def chance_score(self, score: ScoreMetric) -> float | None:
        """Give the score of guessing, the natural worst; None where there is none."""
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


def settled(task: Task, *, data_dir: Path | None, tenant_id: str) -> Task:
    """Give the task with everything pinned that could change or mean another thing to somebody else.

    A file gets its place and the hash of its bytes, a hub data set its commit.

    Raises:
        UnknownTask: If there is no such source.
        InvalidTask: If it is not what the task says it is.
    """
    if task.is_hub:
        commit = hub_datasets.download(task, max_bytes=MAX_HUB_BYTES).commit
        return task.model_copy(update={"revision": commit})
    if not task.is_file:
        return task
    name = settled_name(task.name, data_dir=data_dir, tenant_id=tenant_id)
    sha256 = _hash_of(_stamp(file_path(name, data_dir=data_dir)))
    if task.sha256 not in (None, sha256):
        raise InvalidTask({"sha256": f"the file has other content now: its hash is {sha256}"})
    return task.model_copy(update={"name": name, "sha256": sha256})


def task_facts(task: Task, *, data_dir: Path | None) -> TaskFacts:
    """Learn the facts of a settled task; of a file, by reading it once for each of its versions.

    Raises:
        UnknownTask: If there is no such task here.
        InvalidTask: If its data cannot be used; the errors point at the guilty fields.
    """
    if not (task.is_file or task.is_hub):
        package_folder(packaged_task(task.name))
        return _packaged_facts(task.name)
    files = _files(task, data_dir=data_dir)
    stamps = tuple((split, tuple(map(_stamp, of_split))) for split, of_split in files.items())
    same_rows = {"train_rows": None, "validation_rows": None, "test_rows": None, "score": None}
    return _facts_of_files(task.model_copy(update=same_rows), stamps)


def load_task(task: Task, *, data_dir: Path | None) -> TaskData:
    """Read, check and split the rows of a settled task.

    Raises:
        UnknownTask: If there is no such task here.
        InvalidTask: If its data cannot be used, or is not what it was when the study was posted.
    """
    if task.is_file or task.is_hub:
        return _load_files(task, _files(task, data_dir=data_dir))
    rows = read_packaged(task.name)
    splits = three_splits(rows.by_split, kind=TaskKind.CLASSIFICATION)
    return TaskData(_packaged_facts(task.name), splits, rows.dropped)


def _packaged_facts(name: str) -> TaskFacts:
    packaged = PACKAGED_TASKS[name]
    return TaskFacts(
        name=name,
        kind=TaskKind.CLASSIFICATION,
        labels=packaged.labels,
        takes_pairs=packaged.takes_pairs,
        split_rows=packaged.split_rows,
    )


def _files(task: Task, *, data_dir: Path | None) -> Mapping[str, tuple[Path, ...]]:
    if task.is_hub:
        return hub_datasets.download(task, max_bytes=MAX_HUB_BYTES).files
    return {"train": (file_path(task.name, data_dir=data_dir),)}


def _load_files(task: Task, files: Mapping[str, tuple[Path, ...]]) -> TaskData:
    kind = task.resolved_kind
    tables = {split: _joined(task, of_split) for split, of_split in files.items()}
    rows = read_rows(tables, task, kind=kind)
    splits = three_splits(rows.by_split, kind=kind)
    train, validation, test = (len(splits[split]) for split in SPLITS)
    facts = TaskFacts(
        name=task.name,
        kind=kind,
        labels=rows.labels,
        takes_pairs=task.text_pair_column is not None,
        split_rows=(train, validation, test),
    )
    return TaskData(facts, splits, rows.dropped)


@lru_cache(maxsize=FACTS_KEPT)
def _facts_of_files(task: Task, stamps: tuple[tuple[str, tuple[Stamp, ...]], ...]) -> TaskFacts:
    files = {split: tuple(Path(path) for path, _, _ in of_split) for split, of_split in stamps}
    return _load_files(task, files).facts


def _joined(task: Task, files: tuple[Path, ...]) -> Table:
    tables = [_table(task, file) for file in files]
    return Table(tables[0].columns, [row for table in tables for row in table.rows])


def _table(task: Task, file: Path) -> Table:
    content = file.read_bytes()
    if task.sha256 not in (None, hashlib.sha256(content).hexdigest()):
        raise InvalidTask({"sha256": f"'{file.name}' has changed since the study was posted; post it anew"})
    try:
        return read_table(content, name=file.name)
    except InvalidTaskFile as error:
        raise InvalidTask({"name": error.detail}) from error


def _stamp(file: Path) -> Stamp:
    status = file.stat()
    return str(file), status.st_mtime_ns, status.st_size


@lru_cache(maxsize=FACTS_KEPT)
def _hash_of(stamp: Stamp) -> str:
    with Path(stamp[0]).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
