"""Which files of a Hugging Face data set hold which split, and their download.

The data set's card decides where it lists configurations; otherwise the names of files and folders
do. Only CSV, TSV, JSONL and Parquet files are read; no code of the repository is run.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from glob import escape
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import yaml
from huggingface_hub import snapshot_download
from huggingface_hub.errors import DryRunError

from api_schemas.tasks import HUB_PREFIX, Task
from api_schemas.yaml_documents import load_yaml
from service.errors import InvalidTask, UnknownTask
from service.hub import from_hub
from service.task_catalogue.splits import SPLITS
from service.task_catalogue.tables import is_table

Answer = TypeVar("Answer")

HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
CARD = "README.md"
FORMATS = (".parquet", ".jsonl", ".csv", ".tsv")
"""Where a repository has the same rows in several formats, the first of these is read."""

_EDGE = r"(?:^|$|[ ._/\-0-9])"
SPLIT_WORDS = {
    "train": re.compile(rf"{_EDGE}(?:train|training)(?={_EDGE})"),
    "validation": re.compile(rf"{_EDGE}(?:validation|valid|val|dev)(?={_EDGE})"),
    "test": re.compile(rf"{_EDGE}(?:test|testing|eval|evaluation)(?={_EDGE})"),
}


@dataclass(frozen=True)
class HubDataset:
    """A downloaded data set: its commit, and the files of each split that it names."""

    commit: str
    files: Mapping[str, tuple[Path, ...]]


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
    card: Mapping[str, Mapping[str, tuple[str, ...]]] = {}
    if CARD in sizes:
        folder = _snapshot(name, revision=commit, allow_patterns=[CARD])
        card = read_card((folder / CARD).read_text(encoding="utf-8", errors="replace"))
    chosen = split_files(sorted(sizes), card, subset=task.subset, name=name)
    files = [file for of_split in chosen.values() for file in of_split]
    total = sum(sizes[file] for file in files)
    if total > max_bytes:
        raise InvalidTask(
            {"name": f"'{name}' has {total:,} bytes; the limit is {max_bytes:,}. Name a smaller subset"}
        )
    folder = _snapshot(name, revision=commit, allow_patterns=[escape(file) for file in files])
    return HubDataset(
        commit, {split: tuple(folder / file for file in of_split) for split, of_split in chosen.items()}
    )


def read_card(text: str) -> Mapping[str, Mapping[str, tuple[str, ...]]]:
    """Read the patterns of each split of each configuration from a data set's card; the default first.

    Raises:
        InvalidTask: If what the card says of itself is no YAML, or more than is read.
    """
    match = re.match(r"---\n(.*?)\n---", text.replace("\r\n", "\n"), re.DOTALL)
    try:
        front_matter = load_yaml(match[1]) if match else None
    except yaml.YAMLError as error:
        # Which of its files belong together would be a guess.
        raise InvalidTask({"name": f"the data set's card ({CARD}) cannot be read: {error}"}) from error
    configs = front_matter.get("configs") if isinstance(front_matter, dict) else None
    if not isinstance(configs, list):
        return {}
    listed = [config for config in configs if isinstance(config, dict) and config.get("data_files")]
    listed.sort(key=lambda config: not (config.get("default") or config.get("config_name") == "default"))
    return {str(config.get("config_name", "default")): _patterns(config["data_files"]) for config in listed}


def split_files(
    names: Sequence[str],
    card: Mapping[str, Mapping[str, tuple[str, ...]]],
    *,
    subset: str | None,
    name: str,
) -> dict[str, tuple[str, ...]]:
    """Say which of a repository's files hold which split.

    Raises:
        UnknownTask: If none of them is a table.
        InvalidTask: If the subset must be named or does not exist, or there is no train split.
    """
    tables = [file for file in names if is_table(file)]
    found = _by_card(tables, card, subset=subset) if card else _by_name(tables, subset=subset)
    if not found and subset is None:
        raise UnknownTask(f"'{name}' has no CSV, TSV, JSONL or Parquet files that can be read.")
    if not found:
        raise InvalidTask({"subset": f"'{name}' has no files of a subset '{subset}'"})
    if "train" not in found:
        raise InvalidTask({"name": f"'{name}' has no train split; it has: {', '.join(found)}"})
    return found


def _by_card(
    tables: Sequence[str], card: Mapping[str, Mapping[str, tuple[str, ...]]], *, subset: str | None
) -> dict[str, tuple[str, ...]]:
    if subset is not None and subset not in card:
        raise InvalidTask({"subset": f"there is no subset '{subset}'; there are: {', '.join(card)}"})
    if subset is None and len(card) > 1 and next(iter(card)) != "default":
        raise InvalidTask({"subset": f"name one of the subsets: {', '.join(card)}"})
    patterns = card[subset if subset is not None else next(iter(card))]
    found = {
        split: tuple(file for file in tables if any(fnmatchcase(file, pattern) for pattern in of_split))
        for split, of_split in patterns.items()
    }
    return {split: files for split, files in found.items() if files}


def _by_name(tables: Sequence[str], *, subset: str | None) -> dict[str, tuple[str, ...]]:
    ours = [file for file in tables if subset is None or subset in PurePosixPath(file).parts[:-1]]
    chosen = next(
        filter(None, ([file for file in ours if file.lower().endswith(end)] for end in FORMATS)), []
    )
    found: dict[str, list[str]] = {}
    for file in chosen:
        found.setdefault(_split_of(file), []).append(file)
    return {split: tuple(found[split]) for split in SPLITS if split in found}


def _split_of(file: str) -> str:
    """Give the split whose word stands last in a path; train where there is none."""
    ends = {
        split: max((match.end() for match in words.finditer(file.lower())), default=-1)
        for split, words in SPLIT_WORDS.items()
    }
    return max(SPLITS, key=lambda split: ends[split])


def _patterns(data_files: Any) -> dict[str, tuple[str, ...]]:
    entries = data_files if isinstance(data_files, list) else [data_files]
    found: dict[str, tuple[str, ...]] = {}
    for entry in entries:
        split, path = (entry.get("split"), entry.get("path")) if isinstance(entry, dict) else ("train", entry)
        paths = path if isinstance(path, list) else [path]
        name = _split_of(str(split))
        found[name] = (*found.get(name, ()), *(str(one) for one in paths))
    return found


def _listing(name: str, revision: str | None) -> tuple[str, dict[str, int]]:
    wanted = [CARD, *(f"*{end}" for end in FORMATS)]
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
