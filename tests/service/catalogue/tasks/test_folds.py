"""Folds that hold every row once, look alike, and depend on nothing but rows and seed."""

import random
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_schemas.tasks import Task, TaskKind
from service.catalogue.tasks.folds import PoolFacts, partition, pool_facts, pool_of
from service.catalogue.tasks.rows import Row
from service.catalogue.tasks.splits import stratum_key, three_splits
from tests.service.catalogue.tasks.test_splits import KINDS, C, label, rows_of

kinds = st.sampled_from(KINDS)
folds_asked_for = st.integers(2, 7)
deals = st.integers(0, 2**27)


def validated(rows: Sequence[Row], *, kind: TaskKind, folds: int, deal: int) -> list[tuple[int, ...]]:
    """The rows that each seed of a deal validates on."""
    seeds = range(deal * folds, (deal + 1) * folds)
    return [partition(rows, kind=kind, folds=folds, seed=seed)[1] for seed in seeds]


@given(st.integers(7, 200), kinds, folds_asked_for, deals)
def test_each_row_is_validated_on_once_in_a_deal(count: int, kind: TaskKind, folds: int, deal: int) -> None:
    """By folds of equal size; what a seed does not validate on it trains on."""
    rows = rows_of(count, kind)
    held = validated(rows, kind=kind, folds=folds, deal=deal)
    assert sorted(position for fold in held for position in fold) == list(range(count))
    assert max(map(len, held)) - min(map(len, held)) <= 1
    for number, fold in enumerate(held):
        train, validation = partition(rows, kind=kind, folds=folds, seed=deal * folds + number)
        assert validation == fold
        assert sorted((*train, *validation)) == list(range(count))


@given(st.integers(7, 200), kinds, folds_asked_for, deals)
def test_each_stratum_is_spread_evenly(count: int, kind: TaskKind, folds: int, deal: int) -> None:
    """Of each label, set of labels or tenth of the values, no fold has two rows more than another."""
    rows = rows_of(count, kind)
    key = stratum_key(rows, kind=kind)
    held = validated(rows, kind=kind, folds=folds, deal=deal)
    counts = [Counter(key(rows[position]) for position in fold) for fold in held]
    for stratum in set(map(key, rows)):
        found = [one[stratum] for one in counts]
        assert max(found) - min(found) <= 1


@given(
    st.lists(st.integers(1, 30), min_size=7, max_size=40), kinds, folds_asked_for, deals, st.integers(0, 100)
)
def test_groups_stay_whole_and_no_fold_is_empty(
    sizes: list[int], kind: TaskKind, folds: int, deal: int, seed: int
) -> None:
    """However large they are and whatever their labels; a row without a group is one by itself."""
    numbers = random.Random(seed)
    rows = [
        Row(f"text {group} {n}", label(numbers.randrange(97), kind), group=str(group) if group else None)
        for group, size in enumerate(sizes)
        for n in range(size)
    ]
    held = validated(rows, kind=kind, folds=folds, deal=deal)
    assert all(held)
    assert sorted(position for fold in held for position in fold) == list(range(len(rows)))
    groups = [{rows[position].group for position in fold} - {None} for fold in held]
    assert sum(map(len, groups)) == len(set().union(*groups)) == len(sizes) - 1


@given(kinds, folds_asked_for, deals, st.sampled_from([None, 20]), st.integers(0, 100))
def test_the_order_of_the_rows_moves_none(
    kind: TaskKind, folds: int, deal: int, groups: int | None, seed: int
) -> None:
    """A deal follows from texts, groups and seed alone."""
    rows = rows_of(90, kind, groups=groups)
    shuffled = random.Random(seed).sample(rows, len(rows))
    found = [
        [
            {order[position] for position in fold}
            for fold in validated(order, kind=kind, folds=folds, deal=deal)
        ]
        for order in (rows, shuffled)
    ]
    assert found[0] == found[1]


def test_seeds_of_another_deal_shuffle_anew() -> None:
    """Seed 5 of five folds has the place of seed 0, and other rows; seed 0 itself always has the same."""
    rows = rows_of(90, C)
    first, again, later = (set(partition(rows, kind=C, folds=5, seed=seed)[1]) for seed in (0, 0, 5))
    assert first == again
    assert len(first & later) < len(first) / 2


def test_the_largest_group_is_not_always_in_the_same_fold() -> None:
    """It comes first in every deal, and the fold that it comes to changes."""
    rows = [*rows_of(60, C, groups=20), *(Row(f"large {n}", n % 3, group="large") for n in range(30))]
    places = {
        next(n for n, fold in enumerate(validated(rows, kind=C, folds=3, deal=deal)) if 60 in fold)
        for deal in range(12)
    }
    assert places == {0, 1, 2}


@given(st.integers(40, 200), kinds, st.none() | st.integers(4, 20), st.none() | st.integers(1, 4))
def test_a_pool_is_what_hold_out_trains_and_validates_on(
    count: int, kind: TaskKind, train_rows: int | None, validation_rows: int | None
) -> None:
    """The test split is not in it, and counts choose the rows that they always chose."""
    splits = three_splits({"train": rows_of(count, kind)}, kind=kind)
    task = Task(name="file:a.csv", kind=kind, train_rows=train_rows, validation_rows=validation_rows)
    pool = pool_of(splits, task, kind=kind)
    assert not set(pool) & set(splits["test"])
    wanted = (train_rows or len(splits["train"])) + min(validation_rows or count, len(splits["validation"]))
    assert len(set(pool)) == len(pool) == wanted
    assert pool_of(splits, task.model_copy(update={"test_rows": 1}), kind=kind) == pool


NAMES = ("a", "b")


@pytest.mark.parametrize(
    ("rows", "labels", "facts"),
    [
        ([Row(str(n), int(n < 3)) for n in range(20)], NAMES, PoolFacts(20, 20, False, "b", 3)),
        ([Row(str(n), (0, 1)[: 1 + (n < 3)]) for n in range(20)], NAMES, PoolFacts(20, 20, False, "b", 3)),
        ([Row(str(n), float(n)) for n in range(20)], (), PoolFacts(20, 20, False)),
        ([Row(str(n), n % 2, group=str(n // 5)) for n in range(20)], NAMES, PoolFacts(20, 4, True, "a", 4)),
        ([Row("x", 0, group="g"), Row("y", 0), Row("z", 1)], NAMES, PoolFacts(3, 3, True, "b", 1)),
    ],
)  # fmt: skip
def test_what_bounds_the_number_of_folds(rows: list[Row], labels: tuple[str, ...], facts: PoolFacts) -> None:
    """Rows of the rarest label, or groups that have it; values have no labels."""
    assert pool_facts(rows, labels=labels) == facts


@given(st.integers(2, 7), st.integers(0, 3), deals)
def test_every_fold_has_a_label_with_as_many_rows_as_folds(folds: int, more: int, deal: int) -> None:
    """So a trial neither trains without it nor is silent about it."""
    rows = [Row(f"text {n}", int(n < folds + more)) for n in range(60)]
    for fold in validated(rows, kind=C, folds=folds, deal=deal):
        assert 0 < sum(int(rows[position].label == 1) for position in fold) < folds + more
