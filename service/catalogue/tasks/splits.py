"""Train, validation and test. Deterministic: no seed and no order of a file moves a row.

A text's place follows from its hash, stratum by stratum, and stays the same when a study asks for
fewer rows. A stratum is a label, a set of labels, or a tenth of the values. With groups, the hash
of the group decides for all of its rows.
"""

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence

from api_schemas.tasks import TaskKind
from service.catalogue.tasks.rows import Row
from service.errors import InvalidTask

SPLITS = ("train", "validation", "test")

HELD_OUT_SHARE = 8
"""One text in eight is for validation and one in eight for the final test."""

LARGEST_HELD_OUT_GROUP = 4
"""A group with more than a quarter of its stratum is always trained on."""

VALUE_BINS = 10

RARE = (-1,)


def three_splits(by_split: Mapping[str, Sequence[Row]], *, kind: TaskKind) -> dict[str, list[Row]]:
    """Keep the splits that the source names; hold the missing ones out of train.

    Rows whose group is in a later split of the source are left out.

    Raises:
        InvalidTask: If a split stays empty, or train lacks a class that another split has, or that rows had
            whose groups are elsewhere.
    """
    by_split = _without_shared_groups(by_split)
    missing = [split for split in ("test", "validation") if split not in by_split]
    held_out = hold_out(by_split["train"], missing, kind=kind)
    found = {split: held_out.get(split) or list(by_split.get(split, ())) for split in SPLITS}
    for split in SPLITS:
        if not found[split]:
            raise InvalidTask(
                {
                    "name": f"the {split} split has 0 rows: none of {len(by_split['train'])} training rows "
                    f"could be held out. A label needs {HELD_OUT_SHARE} rows, and several small groups"
                }
            )
    if kind is TaskKind.CLASSIFICATION:
        _check_classes(found)
    return {split: sorted(rows, key=row_hash) for split, rows in found.items()}


def _without_shared_groups(by_split: Mapping[str, Sequence[Row]]) -> Mapping[str, Sequence[Row]]:
    """Keep the rows of a group in one split: in the test split before validation before train."""
    kept: dict[str, Sequence[Row]] = {}
    elsewhere: set[str] = set()
    for split in reversed(SPLITS):
        rows = by_split.get(split, ())
        kept[split] = [row for row in rows if row.group not in elsewhere]
        if rows and not kept[split]:
            raise _every_group_is_elsewhere(f"every row of the {split} split")
        elsewhere |= {row.group for row in rows if row.group is not None}
    if _labels_of(by_split["train"]) - _labels_of(kept["train"]):
        raise _every_group_is_elsewhere("every training row of one of the labels")
    return {split: kept[split] for split in by_split}


def _every_group_is_elsewhere(rows: str) -> InvalidTask:
    return InvalidTask(
        {
            "group_column": f"{rows} has a group that is also in a split to validate or test on, where "
            "rows of a group stay together; leave group_column out, or bring rows of further groups"
        }
    )


def _labels_of(rows: Sequence[Row]) -> set[int]:
    """Return the numbers of the classes or labels of rows; none for values."""
    found: set[int] = set()
    for row in rows:
        if not isinstance(row.label, float):
            found |= set(row.label) if isinstance(row.label, tuple) else {row.label}
    return found


def hold_out(rows: Sequence[Row], names: Sequence[str], *, kind: TaskKind) -> dict[str, list[Row]]:
    """Hold one row in eight out for each name; the rest is `train`."""
    if any(row.group is not None for row in rows):
        return _hold_groups_out(rows, names, kind=kind)
    found: dict[str, list[Row]] = {name: [] for name in (*names, "train")}
    for stratum in strata(rows, kind=kind):
        ordered = sorted(stratum, key=row_hash)
        size = len(ordered) // HELD_OUT_SHARE
        for position, name in enumerate(names):
            found[name].extend(ordered[position * size : (position + 1) * size])
        found["train"].extend(ordered[len(names) * size :])
    return found


def take(rows: Sequence[Row], count: int | None, *, kind: TaskKind) -> list[Row]:
    """Take the first rows of each stratum in turn, so that a part is as balanced as the whole.

    Null takes all. The caller knows that there are enough.
    """
    if count is None:
        return list(rows)
    ranked = sorted(
        (
            (position / len(stratum), number, row)
            for number, stratum in enumerate(strata(rows, kind=kind))
            for position, row in enumerate(stratum)
        ),
        key=lambda item: item[:2],
    )
    return [row for _, _, row in ranked[:count]]


def strata(rows: Sequence[Row], *, kind: TaskKind) -> list[list[Row]]:
    """Group rows that are alike, each stratum in the order of the rows."""
    key = stratum_key(rows, kind=kind)
    found: dict[tuple[int, ...], list[Row]] = defaultdict(list)
    for row in rows:
        found[key(row)].append(row)
    return [found[stratum] for stratum in sorted(found)]


def stratum_key(rows: Sequence[Row], *, kind: TaskKind) -> Callable[[Row], tuple[int, ...]]:
    """Return what rows that are alike share, among these rows."""
    if kind is TaskKind.CLASSIFICATION:
        return lambda row: (row.label,)  # type: ignore[return-value]  # the number of a class
    counts = Counter(row.label for row in rows)
    if kind is TaskKind.MULTI_LABEL:
        # Sets too rare to be held out by themselves are held out together, whatever their labels.
        common = {label: label for label in counts if counts[label] >= HELD_OUT_SHARE}
        return lambda row: common.get(row.label, RARE)  # type: ignore[return-value]  # numbers of labels
    # Fewer bins for few rows, or none of them could be held out.
    number = max(1, min(VALUE_BINS, len(rows) // (2 * HELD_OUT_SHARE)))
    bins: dict[object, tuple[int]] = {}
    smaller = 0
    for value in sorted(counts):
        # Equal values share a bin, so a label of few values is stratified by value.
        bins[value] = (smaller * number // len(rows),)
        smaller += counts[value]
    return lambda row: bins[row.label]


def _hold_groups_out(rows: Sequence[Row], names: Sequence[str], *, kind: TaskKind) -> dict[str, list[Row]]:
    key = stratum_key(rows, kind=kind)
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[unit_of(row)].append(row)
    by_stratum: dict[str, list[str]] = defaultdict(list)
    for group, members in groups.items():
        counts = Counter(repr(key(row)) for row in members)
        by_stratum[min(counts, key=lambda stratum: (-counts[stratum], stratum))].append(group)
    found = _assign(groups, list(by_stratum.values()), names)
    if all(found.values()):
        return found
    # Too few groups to stratify.
    return _assign(groups, [list(groups)], names)


def _assign(
    groups: Mapping[str, Sequence[Row]], by_stratum: Sequence[Sequence[str]], names: Sequence[str]
) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {name: [] for name in (*names, "train")}
    for members in by_stratum:
        total = sum(len(groups[group]) for group in members)
        held = Counter[str]()
        for group in sorted(members, key=hex_digest):
            small = len(groups[group]) * LARGEST_HELD_OUT_GROUP <= total
            open_names = [name for name in names if held[name] < math.floor(total / HELD_OUT_SHARE)]
            name = open_names[0] if small and open_names else "train"
            held[name] += len(groups[group])
            found[name].extend(groups[group])
    return found


def _check_classes(found: Mapping[str, Sequence[Row]]) -> None:
    trained = {row.label for row in found["train"]}
    for split in ("validation", "test"):
        if {row.label for row in found[split]} - trained:
            raise InvalidTask(
                {
                    "label_column": f"a label of the {split} split is in no training row; with groups, give "
                    "each label more of them"
                }
            )


def unit_of(row: Row) -> str:
    """Return the name of what is never cut apart: the group of a row, or a row without one by itself."""
    return f"\0{row_hash(row)}" if row.group is None else row.group


def row_hash(row: Row) -> str:
    """Return the hash of a row's text or texts, whatever its label."""
    return hex_digest(row.text if row.pair is None else f"{row.text}\0{row.pair}")


def hex_digest(text: str) -> str:
    """Return the SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()
