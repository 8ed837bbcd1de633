"""Which files of a Hugging Face data set hold which split, and their download.

The data set's card decides where it lists configurations; otherwise the names of files and folders
do. Only CSV, TSV, JSONL and Parquet files are read; no code of the repository is run.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import partial
from glob import escape
from pathlib import Path
from typing import Any, TypeVar

from huggingface_hub import snapshot_download
from huggingface_hub.errors import DryRunError

from api_schemas.tasks import HUB_PREFIX, Task
from service.catalogue.hub import from_hub
from service.catalogue.tasks.cards import CARD, Card, ClassNames, Configuration, read_card
from service.catalogue.tasks.limits import MAX_CARD_BYTES, MAX_HUB_FILES, MAX_PATTERNS
from service.catalogue.tasks.split_names import FORMAT_ORDER, SeveralSets, named_splits, splits_by_path
from service.catalogue.tasks.tables import is_table, listed
from service.errors import InvalidTask, UnknownTask

Answer = TypeVar("Answer")

HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


@dataclass(frozen=True)
class Chosen:
    """The files of each split, the names of classes that the card tells, and how many files are left out."""

    files: Mapping[str, tuple[str, ...]]
    class_names: ClassNames = field(default_factory=dict)
    left_out: int = 0


@dataclass(frozen=True)
class HubDataset:
    """A downloaded data set: its commit, its folder, and in that the files of each split."""

    commit: str
    folder: Path
    chosen: Chosen


def download(task: Task, *, max_bytes: int) -> HubDataset:
    """Download the files of a task, or find them in the local cache.

    Raises:
        UnknownTask: If the hub does not give the data set.
        InvalidTask: If it has no such subset, no train split, or is larger than `max_bytes`.
    """
    name = task.name.removeprefix(HUB_PREFIX)
    if not HUB_NAME.fullmatch(name):
        raise UnknownTask(f"'{task.name}' must read 'hub:ORGANISATION/NAME'.")
    commit, sizes = _listing(name, task.revision)
    card = _card(name, commit, size=sizes.get(CARD))
    chosen = split_files(sorted(sizes), card, subset=task.subset, name=name)
    files = [file for of_split in chosen.files.values() for file in of_split]
    if len(files) > MAX_HUB_FILES:
        raise InvalidTask(
            {"name": f"'{name}' has {len(files):,} files; the limit is {MAX_HUB_FILES:,}. Name a subset"}
        )
    total = sum(sizes[file] for file in files)
    if total > max_bytes:
        raise InvalidTask(
            {"name": f"'{name}' has {total:,} bytes; the limit is {max_bytes:,}. Name a smaller subset"}
        )
    folder = _snapshot(name, revision=commit, allow_patterns=[escape(file) for file in files])
    return HubDataset(commit, folder, chosen)


def split_files(names: Sequence[str], card: Card, *, subset: str | None, name: str) -> Chosen:
    """Return which of a repository's files hold which split.

    Raises:
        UnknownTask: If none of them is a table.
        InvalidTask: If the subset must be named or does not exist, there is no train split, or the card
            names files that cannot be read.
    """
    tables = [file for file in names if is_table(file)]
    if not tables:
        raise UnknownTask(f"'{name}' has no CSV, TSV, JSONL or Parquet files that can be read.")
    configuration = _configuration(card, subset=subset, name=name)
    try:
        if configuration is None:
            found, left_out = splits_by_path(tables, subset=subset)
            chosen = Chosen(found, card.names_of(subset), left_out)
        else:
            chosen = _of_configuration(configuration, tables)
    except SeveralSets as several:
        raise InvalidTask(
            {
                "subset": f"'{name}' has different sets of rows: {listed(several.names)}. Name one as the "
                "subset, or put the rows that you mean into a file of yours"
            }
        ) from several
    if not chosen.files and subset is not None:
        raise InvalidTask({"subset": f"'{name}' has no files of a subset '{subset}'"})
    if "train" not in chosen.files:
        has = listed(tuple(chosen.files) or tuple(tables))
        raise InvalidTask({"name": f"'{name}' has no train split; it has: {has}"})
    return chosen


def _configuration(card: Card, *, subset: str | None, name: str) -> Configuration | None:
    known = card.configurations
    if not known:
        return None
    chosen = card.default if subset is None else subset
    if chosen is None:
        raise InvalidTask({"subset": f"name one of the subsets: {listed(tuple(known))}"})
    if chosen not in known:
        raise InvalidTask({"subset": f"'{name}' has no subset '{subset}'; there are: {listed(tuple(known))}"})
    return known[chosen]


def _of_configuration(configuration: Configuration, tables: Sequence[str]) -> Chosen:
    start = f"{configuration.folder}/" if configuration.folder else ""
    within = [file.removeprefix(start) for file in tables if file.startswith(start)]
    if configuration.patterns is None:
        found, left_out = splits_by_path(within, subset=None)
    elif sum(map(len, configuration.patterns.values())) > MAX_PATTERNS:
        raise InvalidTask({"name": f"the card names more than {MAX_PATTERNS:,} patterns, which is the limit"})
    else:
        splits = named_splits(configuration.patterns)
        found = {
            split: _matching(within, configuration.patterns[named], named=named)
            for split, named in splits.items()
        }
        left_out = sum(
            len(_matches(within, patterns))
            for named, patterns in configuration.patterns.items()
            if named not in splits.values()
        )
    files = {split: tuple(start + file for file in of_split) for split, of_split in found.items()}
    return Chosen(files, configuration.class_names, left_out)


def _matching(tables: Sequence[str], patterns: Sequence[str], *, named: str) -> tuple[str, ...]:
    # Each of them: rows that are left out unsaid make another data set.
    empty = [pattern for pattern in patterns if not any(_is_matched(file, pattern) for file in tables)]
    if empty:
        raise InvalidTask(
            {
                "name": f"of the split '{named}' the card names {listed(empty)}, among which is no CSV, "
                "TSV, JSONL or Parquet file that can be read"
            }
        )
    return _matches(tables, patterns)


def _matches(tables: Sequence[str], patterns: Sequence[str]) -> tuple[str, ...]:
    return tuple(file for file in tables if any(_is_matched(file, pattern) for pattern in patterns))


def _is_matched(file: str, pattern: str) -> bool:
    """Return whether a path fits a pattern: ** is any number of folders, * stays within one."""
    parts = file.split("/")
    places = {0}
    for part in pattern.split("/"):
        if part == "**":
            places = set(range(min(places, default=0), len(parts) + 1)) if places else places
        else:
            places = {place + 1 for place in places if place < len(parts) and fnmatchcase(parts[place], part)}
    return len(parts) in places


def _card(name: str, commit: str, *, size: int | None) -> Card:
    if size is None:
        return Card()
    if size > MAX_CARD_BYTES:
        raise InvalidTask(
            {"name": f"the card of '{name}' ({CARD}) has {size:,} bytes; the limit is {MAX_CARD_BYTES:,}"}
        )
    folder = _snapshot(name, revision=commit, allow_patterns=[CARD])
    return read_card((folder / CARD).read_text(encoding="utf-8", errors="replace"))


def _listing(name: str, revision: str | None) -> tuple[str, dict[str, int]]:
    wanted = [CARD, *(f"*{end}" for end in FORMAT_ORDER)]
    infos = _explained(name, partial(_dry_run, name, revision, wanted))
    if infos is None:
        # The hub refuses or is out of reach: the local cache may have it all, or the cause is raised here.
        folder = _snapshot(name, revision=revision, allow_patterns=wanted)
        found = [file for file in folder.rglob("*") if file.is_file()]
        return folder.name, {file.relative_to(folder).as_posix(): file.stat().st_size for file in found}
    if not infos:
        raise UnknownTask(f"'{name}' has no CSV, TSV, JSONL or Parquet files that can be read.")
    return infos[0].commit_hash, {info.filename: info.file_size or 0 for info in infos}


def _dry_run(name: str, revision: str | None, wanted: list[str], local_files_only: bool) -> list[Any] | None:
    try:
        found: list[Any] = snapshot_download(
            name,
            repo_type="dataset",
            revision=revision,
            allow_patterns=wanted,
            dry_run=True,
            local_files_only=local_files_only,
        )
    except DryRunError:
        return None
    return found


def _snapshot(name: str, *, revision: str | None, allow_patterns: Sequence[str]) -> Path:
    options = {"repo_type": "dataset", "revision": revision, "allow_patterns": list(allow_patterns)}
    return Path(_explained(name, lambda cached: snapshot_download(name, **options, local_files_only=cached)))


def _explained(name: str, call: Callable[[bool], Answer]) -> Answer:
    return from_hub(
        name,
        call,
        refusal=UnknownTask,
        instead="put the rows under PARETUNE_DATA_DIR and name the file 'file:NAME'",
        missing="has no such file",
    )
