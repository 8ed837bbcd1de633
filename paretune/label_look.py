"""How the labels of a column are meant: what kind they are of, and which of them stand for none.

Knows one column; it reads no file and asks nobody.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from api_schemas.tasks import TaskKind
from paretune.table_look import ROWS_OF_A_LABEL, SEVERAL, Column, is_number
from service.catalogue.tasks.label_names import NOTHING, perhaps_missing
from service.catalogue.tasks.labels import is_collection, name_of

SHARE_OF_SEVERAL = 0.02
VALUES_OF_A_SCALE = 20
"""Whole numbers with more different values than this are something to predict, unless they have no gaps."""
FIRST_CLASSES = (0, 1)


@dataclass(frozen=True)
class KindGuess:
    """What the labels seem to be; not `sure` where the other kind is about as likely."""

    kind: TaskKind
    sure: bool = True


def guess_kind(label: Column) -> KindGuess:
    """Return whether labels are several in a cell, numbers to predict, or classes."""
    several = sum(SEVERAL in cell for cell in label.cells)
    if several > SHARE_OF_SEVERAL * len(label.cells) or any(map(_is_list, label.counts)):
        return KindGuess(TaskKind.MULTI_LABEL)
    counts = {cell: count for cell, count in label.counts.items() if name_of(cell) not in NOTHING}
    if not all(map(is_number, counts)):
        return KindGuess(TaskKind.CLASSIFICATION)
    values = sorted({float(cell) for cell in counts})
    if not all(value.is_integer() for value in values):
        return KindGuess(TaskKind.REGRESSION)
    if len(values) <= VALUES_OF_A_SCALE:
        return KindGuess(TaskKind.CLASSIFICATION)
    without_gaps = values[0] in FIRST_CLASSES and values[-1] - values[0] == len(values) - 1
    if without_gaps and sum(counts.values()) >= ROWS_OF_A_LABEL * len(values):
        return KindGuess(TaskKind.CLASSIFICATION, sure=False)
    return KindGuess(TaskKind.REGRESSION)


def guess_missing(label: Column, kind: TaskKind) -> tuple[str, ...]:
    """Return the labels that seem to mean that there is none; nothing where it is as likely that not."""
    names = _names(label.counts)
    found = perhaps_missing(names) if kind is TaskKind.CLASSIFICATION else sorted(names & NOTHING)
    # A -1 may as well be a class: the server asks about it.
    return tuple(found) if NOTHING.issuperset(found) else ()


def stands_beside_words(label: Column, missing: Iterable[str]) -> bool:
    """Return whether labels that may be missing are among others that are no numbers, as names may be."""
    return not all(map(is_number, _names(label.counts) - set(missing)))


def _names(cells: Iterable[str]) -> frozenset[str]:
    return frozenset(name for name in map(name_of, cells) if name is not None)


def _is_list(cell: str) -> bool:
    return cell.startswith("[") and is_collection(cell)
