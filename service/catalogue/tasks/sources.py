"""The door to tasks: settle what a name means, learn the facts of a task, load its rows.

The API asks for facts, which a child reads, and keeps them until a file changes; a worker loads the rows.
"""

import hashlib
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from api_schemas.tasks import Task, TaskKind
from service.catalogue.tasks import hub_datasets, reading
from service.catalogue.tasks.facts import SourceFiles, TaskData, TaskFacts, read_task
from service.catalogue.tasks.folds import PoolFacts, pool_facts, pool_of
from service.catalogue.tasks.limits import MAX_HUB_BYTES
from service.catalogue.tasks.packaged import PACKAGED_TASKS, package_folder, packaged_task, read_packaged
from service.catalogue.tasks.places import file_path, open_file, settled_name
from service.catalogue.tasks.splits import three_splits
from service.errors import InvalidTask

FACTS_KEPT = 256

Stamp = tuple[str, int, int]
"""Path, time of the last change in nanoseconds, size in bytes: the same stamp, the same content."""


def settled(task: Task, *, data_dir: Path | None, tenant_id: str) -> Task:
    """Return the task with everything pinned that could change or mean another thing to somebody else.

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
        if task.folds is None:
            return _packaged_facts(task.name)
        return replace(_packaged_facts(task.name), pool=_packaged_pool(_deciding(task)))
    files = source_files(task, data_dir=data_dir)
    return _facts_of_files(_deciding(task), files, tuple(map(_stamp, files.paths)))


def load_task(task: Task, *, data_dir: Path | None) -> TaskData:
    """Read, check and split the rows of a settled task.

    Raises:
        UnknownTask: If there is no such task here.
        InvalidTask: If its data cannot be used, or is not what it was when the study was posted.
    """
    if task.is_file or task.is_hub:
        return read_task(task, source_files(task, data_dir=data_dir))
    rows = read_packaged(task.name)
    splits = three_splits(rows.by_split, kind=TaskKind.CLASSIFICATION)
    return TaskData(_packaged_facts(task.name), splits, rows.dropped)


def _deciding(task: Task) -> Task:
    """Return a task without what changes none of its facts; counts of rows change those of folds alone."""
    counts = ("train_rows", "validation_rows", "resampling") if task.folds is None else ()
    return task.model_copy(update=dict.fromkeys((*counts, "test_rows", "score")))


@lru_cache(maxsize=FACTS_KEPT)
def _packaged_pool(task: Task) -> PoolFacts:
    kind, rows = TaskKind.CLASSIFICATION, read_packaged(task.name)
    return pool_facts(pool_of(three_splits(rows.by_split, kind=kind), task, kind=kind), labels=rows.labels)


def _packaged_facts(name: str) -> TaskFacts:
    packaged = PACKAGED_TASKS[name]
    return TaskFacts(
        name=name,
        kind=TaskKind.CLASSIFICATION,
        labels=packaged.labels,
        takes_pairs=packaged.takes_pairs,
        split_rows=packaged.split_rows,
    )


def source_files(task: Task, *, data_dir: Path | None) -> SourceFiles:
    """Return the files of a settled task that is no packaged one; a hub data set is downloaded.

    Raises:
        UnknownTask: If there is no such file, or the hub does not have or give it.
        InvalidTask: If the data set cannot be used.
    """
    if task.is_hub:
        found = hub_datasets.download(task, max_bytes=MAX_HUB_BYTES)
        return SourceFiles(
            found.folder,
            tuple(found.chosen.files.items()),
            tuple(found.chosen.class_names.items()),
            found.chosen.left_out,
        )
    path = file_path(task.name, data_dir=data_dir)
    return SourceFiles(path.parent, (("train", (path.name,)),))


@lru_cache(maxsize=FACTS_KEPT)
def _facts_of_files(task: Task, files: SourceFiles, _stamps: tuple[Stamp, ...]) -> TaskFacts:
    return reading.facts_of(task, files)


def _stamp(file: Path) -> Stamp:
    status = file.stat()
    return str(file), status.st_mtime_ns, status.st_size


@lru_cache(maxsize=FACTS_KEPT)
def _hash_of(stamp: Stamp) -> str:
    with open_file(Path(stamp[0]), in_cache=False) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
