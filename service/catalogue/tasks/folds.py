"""Train and validation rows together, dealt into folds anew for every so many training seeds.

Pure and deterministic: a deal follows from the hashes of the rows, stratum by stratum. Rows of one group
stay in one fold. Test rows never come here.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from api_schemas.tasks import Task, TaskKind
from service.catalogue.tasks.rows import Row
from service.catalogue.tasks.splits import hex_digest, stratum_key, take, unit_of

Stratum = tuple[int, ...]

FEW_ROWS = 2000
"""From so many train and validation rows on, a task that does not say is held out from."""


@dataclass(frozen=True)
class PoolFacts:
    """How many folds the rows of a pool can fill. A unit is a group, where there are groups, or a row."""

    rows: int
    units: int
    grouped: bool
    rarest_label: str | None = None
    """The one that fewest units have; None for values."""
    rarest_units: int = 0


def pool_of(splits: Mapping[str, Sequence[Row]], task: Task, *, kind: TaskKind) -> list[Row]:
    """Return the rows that a task trains or validates on: those of either split that hold-out would use."""
    return [
        *take(splits["train"], task.train_rows, kind=kind),
        *take(splits["validation"], task.validation_rows, kind=kind),
    ]


def pool_facts(rows: Sequence[Row], *, labels: Sequence[str]) -> PoolFacts:
    """Return what bounds the number of folds; `labels` are the names of the labels, none for values."""
    units = {unit_of(row) for row in rows}
    grouped = any(row.group is not None for row in rows)
    pairs = {(number, unit_of(row)) for row in rows for number in _numbers(row)} if labels else set()
    counts = Counter(number for number, _ in pairs)
    if not counts:
        return PoolFacts(len(rows), len(units), grouped)
    rarest = min(counts, key=lambda number: (counts[number], number))
    return PoolFacts(len(rows), len(units), grouped, labels[rarest], counts[rarest])


def partition(
    rows: Sequence[Row], *, kind: TaskKind, folds: int, seed: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the positions of the rows that a training seed trains on and those that it validates on.

    Seed s validates on fold s mod k of deal s div k: the k seeds of a deal validate on every row once.
    A group of several labels may hold all rows of one of them.
    """
    deal, fold = divmod(seed, folds)
    names = list(map(unit_of, rows))
    fold_of = _dealt(rows, names, kind=kind, folds=folds, deal=deal)
    held = [fold_of[name] == fold for name in names]
    train = tuple(position for position, out in enumerate(held) if not out)
    return train, tuple(position for position, out in enumerate(held) if out)


def _dealt(
    rows: Sequence[Row], names: Sequence[str], *, kind: TaskKind, folds: int, deal: int
) -> dict[str, int]:
    """Return the fold of each unit; `names` are the units of the rows.

    Large units come first, then stratum by stratum, each to the fold that has least of its strata, then least
    of all. While a fold is empty it is that one, so that as many units as folds leave none empty.
    """
    key = stratum_key(rows, kind=kind)
    units: dict[str, Counter[Stratum]] = defaultdict(Counter)
    for row, name in zip(rows, names, strict=True):
        units[name][key(row)] += 1
    whole = Counter(map(key, rows))
    # Which fold is filled first changes with the deal, too.
    order = sorted(range(folds), key=lambda fold: hex_digest(f"{deal}/{fold}"))
    held = {fold: Counter[Stratum]() for fold in order}
    totals = dict.fromkeys(order, 0)
    found: dict[str, int] = {}

    def turn(unit: str) -> tuple[int, list[Stratum], str]:
        return -units[unit].total(), sorted(units[unit]), hex_digest(f"{deal}/{unit}")

    for unit in sorted(units, key=turn):
        mine = units[unit]
        crowding = {fold: (_crowding(mine, held[fold], whole), totals[fold]) for fold in order}
        found[unit] = chosen = min(order, key=crowding.__getitem__)
        held[chosen].update(mine)
        totals[chosen] += mine.total()
    return found


def _crowding(unit: Counter[Stratum], fold: Counter[Stratum], whole: Counter[Stratum]) -> float:
    """Return how much of a unit's strata a fold has, by the unit's rows."""
    return sum(count * fold[stratum] / whole[stratum] for stratum, count in sorted(unit.items()))


def _numbers(row: Row) -> tuple[int, ...]:
    return row.label if isinstance(row.label, tuple) else (int(row.label),)
