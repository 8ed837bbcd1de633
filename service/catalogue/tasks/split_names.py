"""Which split a name means: of a file, by the words in its path, and of a split, by itself.

The words are those of the `datasets` library. What is neither train, validation nor test is left out, and
different sets of rows are never mixed.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import PurePosixPath

from service.catalogue.tasks.splits import SPLITS
from service.catalogue.tasks.tables import ending

WORDS: Mapping[str, tuple[str, ...]] = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}
"""The words for each split; where several stand for one, the first counts."""

FORMAT_ORDER = (".parquet", ".jsonl", ".csv", ".tsv")
"""Where a repository has the same rows in several formats, the first of these is read."""

_EDGE = r"(?:^|$|[ ._/\-0-9])"
_PATTERNS = {split: re.compile(rf"{_EDGE}(?:{'|'.join(words)})(?={_EDGE})") for split, words in WORDS.items()}

Key = tuple[str, ...]
"""What tells the rows of a file from others: its folders, and its name without split and numbers of parts."""


class SeveralSets(ValueError):
    """Files hold different sets of rows, and nothing says which of them are meant."""

    def __init__(self, names: Iterable[str]) -> None:
        super().__init__("different sets of rows")
        self.names = tuple(sorted(names))


def named_splits(names: Iterable[str]) -> dict[str, str]:
    """Return the name that stands for each split: the word itself, else the one name that has the word.

    Raises:
        SeveralSets: If several names have the word for train.
    """
    found: dict[str, str] = {}
    known = list(names)
    for split in SPLITS:
        exact = [name for word in WORDS[split] for name in known if name.lower() == word]
        alike = [name for name in known if split_of(name) == split]
        if exact or len(alike) == 1:
            found[split] = (exact or alike)[0]
        elif alike and split == "train":
            raise SeveralSets(alike)
    return found


def split_of(name: str) -> str | None:
    """Return the split whose word stands last in a path; None where there is none."""
    found = _last_word(name)
    return None if found is None else found[0]


def splits_by_path(files: Sequence[str], *, subset: str | None) -> tuple[dict[str, tuple[str, ...]], int]:
    """Return the files of each split by the words in their paths, and how many hold other rows.

    Where no path has such a word, all are train. `subset` is a folder, or the word by which names differ.

    Raises:
        SeveralSets: If the files hold different sets of rows.
    """
    keys = {file: _key(file) for file in files}
    ours = [file for file in files if subset is None or subset in (*keys[file], "/".join(keys[file]))]
    splits = {file: split_of(file) for file in ours}
    left_out = sum(split is None for split in splits.values())
    if left_out == len(ours):
        splits, left_out = dict.fromkeys(ours, "train"), 0
    found: dict[str, tuple[str, ...]] = {}
    for split in SPLITS:
        known = _in_one_format([file for file in ours if splits[file] == split])
        try:
            chosen = _of_one_set(known, keys) if known else ()
        except SeveralSets:
            # As of a card: of several sets to test on none is meant more than another.
            if split == "train":
                raise
            chosen = ()
        if chosen:
            found[split] = chosen
        left_out += len(known) - len(chosen)
    _check_one_set({keys[of_split[0]] for of_split in found.values()}, keys.values())
    return found, left_out


def _in_one_format(files: Sequence[str]) -> list[str]:
    by_format = ([file for file in files if ending(file) == end] for end in FORMAT_ORDER)
    return next(filter(None, by_format), [])


def _of_one_set(files: Sequence[str], keys: Mapping[str, Key]) -> tuple[str, ...]:
    """Return the files of one key. A plain name, such as train.csv, comes before train_small.csv."""
    found = {keys[file] for file in files}
    plain = min(found, key=len)
    if any(not set(plain) < set(key) for key in found - {plain}):
        raise SeveralSets("/".join(key) for key in found)
    return tuple(file for file in files if keys[file] == plain)


def _check_one_set(chosen: Iterable[Key], every: Iterable[Key]) -> None:
    """Refuse train rows of one set beside test rows of another; data/train.csv and test.csv are of one."""
    ordered = sorted(chosen, key=len)
    for shorter, longer in pairwise(ordered):
        if not set(shorter) <= set(longer):
            raise SeveralSets("/".join(key) for key in set(every))


def _key(file: str) -> Key:
    last = _last_word(file)
    path = PurePosixPath(file)
    if last is None:
        stem = _without_numbers(path.stem)
        return (*path.parts[:-1], *([stem] if stem else []))
    _, start, end = last
    before, after = file[:start], file[end:]
    *folders, prefix = before.split("/")
    # What follows in folders and names of parts are numbers of parts.
    rest = _without_numbers(after.split("/")[0].removesuffix(path.suffix) if "/" not in after else "")
    stem = "_".join(filter(None, (prefix.strip(" ._-"), rest)))
    return (*folders, *([stem] if stem else []))


def _without_numbers(stem: str) -> str:
    words = re.split(r"[ ._\-0-9]+", stem)
    return "_".join(word for word in words if word and word not in ("of", "part"))


def _last_word(name: str) -> tuple[str, int, int] | None:
    """Find the last word for a split: the split, and where the word begins and ends."""
    found = [
        (match.end(), split, match.start() + (0 if name[match.start()].isalpha() else 1))
        for split, pattern in _PATTERNS.items()
        for match in pattern.finditer(name.lower())
    ]
    if not found:
        return None
    end, split, start = max(found)
    return split, start, end
