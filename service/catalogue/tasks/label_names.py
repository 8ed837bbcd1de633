"""All names of a task's labels at once: their order, and what gives away that they were read wrongly.

A score tells nothing of labels that were read wrongly, so whatever has two readings is refused with both.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from decimal import Decimal

from api_schemas.tasks import TaskKind
from service.catalogue.tasks.limits import MAX_CLASSES
from service.catalogue.tasks.tables import listed

WHOLE = re.compile(r"-?\d+")
NUMBER = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d{1,3})?")
CODE = re.compile(r"[-+]?0\d+")
"""A number that begins with a zero is a code, such as 007 or a postal code."""
FLAGS_TOGETHER = re.compile(r"[01]{2,}")
SEPARATORS = re.compile(r"\s*[|,;]\s*")
AS_WRITTEN_BY_PROGRAMS = re.compile(
    r"""(["']).*\1|b(["']).*\2|\(\s*(?:'[^']*'|"[^"]*"|-?\d+)\s*,.*\)""", re.DOTALL
)
"""A name in quotation marks, bytes, and several names as Python prints them."""
NO_NUMBER = frozenset({"NaN", "nan", "-NaN", "-nan"})
NOTHING = NO_NUMBER | {"-", "?", "#N/A", "#NA", "<NA>", "N/A", "NA", "NULL", "None", "n/a", "null"}
"""What programs write where there is no value; some of it may as well be the name of a class."""
TRUTHS = frozenset({"true", "false"})


def in_order(names: Iterable[str], *, class_names: Sequence[str] = ()) -> tuple[str, ...]:
    """Return names in the order of their numbers in the data set, else of numbers, else of letters.

    Numbers within names count as numbers: `class 2` stands before `class 10`.
    """
    places = {name: place for place, name in enumerate(class_names)}
    found = set(names)
    if found <= places.keys():
        return tuple(sorted(found, key=places.__getitem__))
    if all(NUMBER.fullmatch(name) for name in found):
        return tuple(sorted(found, key=lambda name: (Decimal(name), name)))
    return tuple(sorted(found, key=lambda name: (_natural(name), name)))


@dataclass(frozen=True)
class FileLabels:
    """The names of labels in one file."""

    typed: bool
    """Whether the file tells numbers from texts."""
    class_names: tuple[str, ...] = ()
    """What its numbers stand for; empty where that is not known."""
    names: set[str] = field(default_factory=set)


def doubts(by_file: Mapping[str, FileLabels], *, kind: TaskKind, asked_for_missing: bool) -> str | None:
    """Return why the names of labels, by the file that they stand in, may have been read wrongly; or None."""
    names = frozenset[str]().union(*(seen.names for seen in by_file.values()))
    if len(names) > MAX_CLASSES:
        return (
            f"there are {len(names):,} different labels; the limit is {MAX_CLASSES:,}. "
            "Are they values (kind: regression)?"
        )
    nameless = sorted(file for file, seen in by_file.items() if not seen.class_names)
    if not nameless:
        return None
    if len(nameless) < len(by_file):
        named = min(by_file.keys() - set(nameless))
        return f"'{named}' says which names the numbers of its labels stand for, and '{nameless[0]}' does not"
    # In a format without types what separates several labels is a guess.
    untyped = not any(seen.typed for seen in by_file.values())
    return (
        _of_two_kinds(by_file)
        or _same_number(names)
        or _as_printed(names)
        or _joined(names, kind=kind, untyped=untyped)
        or _alike(names)
        or (None if asked_for_missing else _none_or_a_class(names))
    )


def _of_two_kinds(by_file: Mapping[str, FileLabels]) -> str | None:
    kinds = {file: frozenset(map(_kind, seen.names)) for file, seen in by_file.items() if seen.names}
    same = "Write the same class in the same way"
    for file, of_file in kinds.items():
        if {"truth", "number"} <= of_file or (by_file[file].typed and {"number", "word"} <= of_file):
            return f"'{file}' has labels of two kinds: {listed(in_order(by_file[file].names))}. {same}"
    alone = {next(iter(of_file)): file for file, of_file in kinds.items() if len(of_file) == 1}
    if len(alone) > 1:
        shown = (f"'{file}' has {listed(in_order(by_file[file].names))}" for file in sorted(alone.values()))
        return f"the files have labels of two kinds: {'; '.join(shown)}. {same}"
    return None


def _kind(name: str) -> str:
    if name in TRUTHS:
        return "truth"
    return "number" if NUMBER.fullmatch(name) else "word"


def _same_number(names: Set[str]) -> str | None:
    """Find 1.5 and 1.50, or 1e3 and 1000; a code of several digits that begins with 0 is none of these."""
    same: dict[Decimal, list[str]] = defaultdict(list)
    for name in names:
        if NUMBER.fullmatch(name) and not CODE.fullmatch(name):
            same[Decimal(name)].append(name)
    for alike in same.values():
        if len(alike) > 1:
            return f"{_and(sorted(alike))} are the same number. Write it in one way"
    return None


def _as_printed(names: Set[str]) -> str | None:
    """Find names that a program wrote as its own values, such as "joy" in quotation marks and b'joy'."""
    for name in sorted(names):
        if AS_WRITTEN_BY_PROGRAMS.fullmatch(name):
            return (
                f"the label {name:.100} is as a program prints a value, with its quotation marks. "
                "Write only the name"
            )
    return None


def _alike(names: Set[str]) -> str | None:
    """Find names that differ only in capitals, white space or characters that are not seen."""
    same: dict[str, list[str]] = defaultdict(list)
    for name in names:
        seen = "".join(letter for letter in name.casefold() if unicodedata.category(letter) != "Cf")
        same[" ".join(seen.split())].append(name)
    if "" in same:
        return f"the label {same[''][0]!a:.100} has only characters that are not seen"
    for alike in same.values():
        if len(alike) > 1:
            written = " and ".join(
                f"{name!a:.100}" if _has_unseen(name) else f"'{name:.100}'" for name in sorted(alike)[:3]
            )
            return (
                f"{written} differ only in capitals, white space or characters "
                "that are not seen. "
                "Write the same class in the same way"
            )
    return None


def _has_unseen(name: str) -> bool:
    return any(unicodedata.category(letter) == "Cf" for letter in name)


def _joined(names: Set[str], *, kind: TaskKind, untyped: bool) -> str | None:
    """Find names that are several: their parts are names, or 0 and 1 in a row."""
    for name in sorted(names):
        parts = SEPARATORS.split(name)
        # One known part is enough of numbers; 'Paris, France' beside 'France' may be a class.
        numbers = all(WHOLE.fullmatch(part) for part in parts)
        enough = any if numbers or (untyped and kind is TaskKind.MULTI_LABEL) else all
        if len(parts) > 1 and enough(part in names for part in parts):
            return (
                f"the label '{name:.100}' seems to be several. For several labels set kind to multi_label, "
                "and in a cell of CSV put bars between them: joy|fear"
            )
    if kind is TaskKind.MULTI_LABEL:
        if len(names) > 1 and all("," in name or ";" in name for name in names):
            return "every label has a comma in it. In a cell of CSV put bars between labels: joy|fear"
        if len({len(name) for name in names}) == 1 and all(FLAGS_TOGETHER.fullmatch(name) for name in names):
            return "the labels look like a 0 or 1 for each label. List the names of those that apply"
    return None


def perhaps_missing(names: Set[str]) -> list[str]:
    """Return what may stand for no label: the one negative number, and what programs write for nothing."""
    found = sorted(names & NOTHING)
    negative = [name for name in names if WHOLE.fullmatch(name) and name.startswith("-")]
    # -1 and 1 are two sides; -2, -1, 0, 1, 2 a scale.
    if len(negative) == 1 and names - {*negative, "1"}:
        return [*negative, *found]
    return found


def _none_or_a_class(names: Set[str]) -> str | None:
    found = perhaps_missing(names)
    if not found:
        return None
    return (
        f"{_and(found)} among the labels {listed(in_order(names))} may mean that there is none. "
        f'Set missing_labels to ["{found[0]}"] if so, and to [] if it is a class'
    )


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Return a key that orders numbers in a name by their size; by digits, for there may be thousands."""
    parts = re.split(r"(\d+)", name)
    return [
        (1, len(part.lstrip("0")), part.lstrip("0")) if place % 2 else (0, 0, part)
        for place, part in enumerate(parts)
    ]


def _and(names: Sequence[str]) -> str:
    return " and ".join(f"'{name:.100}'" for name in names[:3])
