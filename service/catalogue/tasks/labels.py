"""What a cell of the label column says: the name of a class, several names, or a number to predict.

Knows one cell at a time. Names are written in one way: `1.0` is 1, `True` is true, and letters are
composed (NFC). What is neither a name nor a number is refused, and never turned into a name.
"""

import json
import math
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from api_schemas.tasks import TaskKind
from service.catalogue.tasks.class_names import NO_CLASS
from service.catalogue.tasks.limits import LARGEST_VALUE, LONGEST_LABELS, LONGEST_NAME

Answer = str | frozenset[str] | float
"""A class, the labels that apply, or a value."""

LABEL_SEPARATOR = "|"
DECIMAL = re.compile(r"(-?\d+)\.(\d+)")
ITEM = re.compile(r""""([^"\\]*)"|'([^'\\]*)'|([^\s,'"\\\[\]{}:]+)""")
PYTHON_LIST = re.compile(rf"\[\s*(?:{ITEM.pattern})(?:\s*,\s*(?:{ITEM.pattern}))*\s*(?:,\s*)?\]")
OF_A_COLLECTION = re.compile(r"""[,:"'\d]""")
FLAGS_IN_A_ROW = re.compile(r"[01](?:\.0*)?(?:[\s,;]+[01](?:\.0*)?)+")
FLAGS: frozenset[str | None] = frozenset({"0", "1", "true", "false"})
AS_FLAGS = "a 0 or 1 for each label as it seems; set kind to multi_label and name those that apply"
EXACT_IN_FLOATS = 2**53


class Unreadable(ValueError):
    """A cell is no label; the text goes on after 'row 3 has'."""


@dataclass(frozen=True)
class LabelReader:
    """How the labels of one column are read."""

    kind: TaskKind
    class_names: tuple[str, ...] = ()
    """What the numbers of the column stand for; empty where that is not known."""
    typed: bool = False
    """Whether a text in the column is known to be none of those numbers."""
    missing: frozenset[str] = frozenset()
    """What stands for no label."""

    def read(self, cell: Any) -> Answer | None:
        """Return what a cell says; None where it says nothing.

        Raises:
            Unreadable: If it is no label of the kind.
        """
        cell = as_text(cell)
        if cell is None:
            return None
        if isinstance(cell, str) and len(cell) > LONGEST_LABELS:
            raise Unreadable(
                f"{len(cell):,} characters where a label should be; the limit is {LONGEST_LABELS:,}"
            )
        if self.kind is TaskKind.REGRESSION:
            return self._value(cell)
        if self.kind is TaskKind.CLASSIFICATION:
            return self._class(cell)
        return self._set(cell)

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self.class_names)

    def _value(self, cell: Any) -> float | None:
        if cell == "" or (isinstance(cell, str | int | float) and name_of(cell) in self.missing):
            return None
        value = _number(cell)
        if not math.isfinite(value):
            raise Unreadable(f"{shown(cell)} where a number should be{_comma_hint(cell)}")
        if abs(value) > LARGEST_VALUE:
            raise Unreadable(f"{shown(cell)}; the limit is {LARGEST_VALUE:g}: divide all values")
        return None if self.class_names and value == NO_CLASS else value

    def _class(self, cell: Any) -> str | None:
        if isinstance(cell, str) and is_collection(cell) and cell.startswith("{"):
            raise Unreadable(f"{shown(cell)} where a label should be")
        if isinstance(cell, list) or (isinstance(cell, str) and is_collection(cell)):
            raise Unreadable(f"a list of labels ({shown(cell)}); set kind to multi_label for those")
        if isinstance(cell, str) and FLAGS_IN_A_ROW.fullmatch(cell):
            raise Unreadable(f"{shown(cell)}, {AS_FLAGS}")
        return self._name(cell)

    def _set(self, cell: Any) -> frozenset[str] | None:
        items = [as_text(item) for item in _items(cell)]
        named = [name for name in map(self._name, items) if name is not None]
        if _are_flags(items):
            raise Unreadable(f"{shown(cell)}, {AS_FLAGS}")
        # A row that holds nothing but what stands for no label has none; an empty set says that none applies.
        return None if items and not named else frozenset(named)

    def _name(self, item: Any) -> str | None:
        if not isinstance(item, str | int | float | None):
            raise Unreadable(f"{shown(item)} where a label should be")
        name = name_of(item)
        if name is None or name in self.missing:
            return None
        if self.class_names:
            name = self._decoded(item, name)
        elif isinstance(item, float) and not item.is_integer() and self.kind is TaskKind.MULTI_LABEL:
            raise Unreadable(f"{shown(item)} in a list of labels: list the labels that apply by name")
        if name is not None and len(name) > LONGEST_NAME:
            raise Unreadable(
                f"a label of {len(name):,} characters ({name:.40}...); the limit is {LONGEST_NAME}. "
                "Is it the column of the texts?"
            )
        if name is not None and any(unicodedata.category(character) == "Cc" for character in name):
            raise Unreadable(f"{shown(name)}, a label with a control character")
        return None if name in self.missing else name

    def _decoded(self, item: Any, name: str) -> str | None:
        """Return the class that a number or a name stands for, as `datasets` does."""
        names = self.class_names
        number = _number(item)
        # A name such as 5 may stand at another place than 5.
        if name in self._known and (not math.isfinite(number) or (self.typed and isinstance(item, str))):
            return name
        if number == NO_CLASS:
            return None
        if number.is_integer() and 0 <= number < len(names):
            return names[int(number)]
        raise Unreadable(
            f"{shown(item)}, which is none of the {len(names)} classes that are named, nor its number"
        )


def as_text(cell: Any) -> Any:
    """Return a cell with bytes decoded, white space around a text removed, and NaN as None.

    Raises:
        Unreadable: If bytes are no UTF-8.
    """
    if isinstance(cell, bytes):
        try:
            cell = cell.decode()
        except UnicodeDecodeError as error:
            raise Unreadable(f"{shown(cell)}, bytes that are no UTF-8") from error
    if isinstance(cell, str):
        return cell.strip()
    return None if isinstance(cell, float) and math.isnan(cell) else cell


def name_of(cell: str | float | None) -> str | None:
    """Return the name of a class in the one way in which it is written; None for an empty one."""
    if cell is None or cell == "":
        return None
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, float):
        # Whole numbers become floats in any column that also has gaps.
        return str(int(cell)) if cell.is_integer() and abs(cell) < EXACT_IN_FLOATS else repr(cell)
    if isinstance(cell, int):
        return str(cell)
    name = unicodedata.normalize("NFC", cell)
    if name in ("True", "TRUE", "False", "FALSE"):
        return name.lower()
    decimal = DECIMAL.fullmatch(name)
    if decimal is None:
        return name
    whole, fraction = decimal[1], decimal[2].rstrip("0")
    if fraction:
        return f"{whole}.{fraction}"
    return "0" if whole == "-0" else whole


def shown(cell: Any) -> str:
    """Return the beginning of a cell for a sentence."""
    return f"{cell!r:.100}"


def _items(cell: Any) -> Iterator[Any]:
    if isinstance(cell, list):
        yield from cell
    elif not isinstance(cell, str):
        yield cell
    elif FLAGS_IN_A_ROW.fullmatch(cell):
        raise Unreadable(f"{shown(cell)}, {AS_FLAGS}")
    elif is_collection(cell):
        yield from _listed_in(cell)
    else:
        yield from (part.strip() for part in cell.split(LABEL_SEPARATOR) if part.strip())


def _are_flags(items: list[Any]) -> bool:
    """Return whether a list has a 0 or 1 for each label; a set of numbers names none of them twice."""
    names = [name_of(item) for item in items if isinstance(item, str | int | float)]
    return any(isinstance(item, bool) for item in items) or (
        len(set(names)) < len(names) and FLAGS.issuperset(names)
    )


def is_collection(text: str) -> bool:
    """Return whether a text is a list or a mapping that was written into a cell; `[unk]` is a name."""
    if text[:1] + text[-1:] not in ("[]", "{}") or len(text) < 2:
        return False
    return not text[1:-1].strip() or OF_A_COLLECTION.search(text) is not None


def _listed_in(text: str) -> list[Any]:
    """Read a list as JSON or Python writes it into one cell."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, list):
        return found
    if found is None and PYTHON_LIST.fullmatch(text):
        return [next(part for part in item.groups() if part is not None) for item in ITEM.finditer(text)]
    raise Unreadable(f"{shown(text)}, which is no list of labels; write joy|fear")


def _number(cell: Any) -> float:
    if isinstance(cell, bool) or not isinstance(cell, str | int | float):
        return math.nan
    if isinstance(cell, str) and "_" in cell:  # which Python reads as digits that belong together
        return math.nan
    try:
        return float(cell)
    except (ValueError, OverflowError):
        return math.nan


def _comma_hint(cell: Any) -> str:
    if re.fullmatch(r"[-+]?[\d.,\s]*\d,\d[\d.,]*", str(cell)):
        return "; write 1234.5, with a point for decimals, and without a comma"
    if re.fullmatch(r"[-+]?[\d.]+\s*%", str(cell)):
        return "; leave the percent signs out"
    return ""
