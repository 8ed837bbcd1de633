"""Splits that nothing can move: neither the order of the file, nor a seed, nor asking for less."""

import random
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_schemas.tasks import TaskKind
from service.catalogue.tasks.rows import Label, Row
from service.catalogue.tasks.splits import SPLITS, take, three_splits
from service.errors import InvalidTask

C, M, R = TaskKind.CLASSIFICATION, TaskKind.MULTI_LABEL, TaskKind.REGRESSION
KINDS = [C, M, R]


def label(number: int, kind: TaskKind) -> Label:
    if kind is C:
        return number % 3
    return float(number**2 % 97) if kind is R else tuple(n for n in range(3) if number >> n & 1)


def rows_of(count: int, kind: TaskKind, *, groups: int | None = None) -> list[Row]:
    return [
        Row(f"text {n}", label(n, kind), group=None if groups is None else f"group {n % groups}")
        for n in range(count)
    ]


def split(rows: Sequence[Row], kind: TaskKind = C) -> dict[str, list[Row]]:
    return three_splits({"train": rows}, kind=kind)


def mean(rows: Sequence[Row]) -> float:
    return sum(float(row.label) for row in rows) / len(rows)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
def test_too_few_rows_to_hold_any_out_are_refused(kind: TaskKind) -> None:
    """A study without a validation or a test split would have no score."""
    with pytest.raises(InvalidTask, match="the validation split has 0 rows"):
        split(rows_of(6, kind), kind)


def test_one_group_cannot_be_in_three_splits() -> None:
    """Two splits would stay empty."""
    with pytest.raises(InvalidTask, match="has 0 rows"):
        split(rows_of(90, C, groups=1))


def test_a_label_whose_groups_are_all_held_out_is_refused() -> None:
    """Nothing could ever predict it."""
    rows = [Row(f"text {n}", n // 3 % 2, group=str(n // 3)) for n in range(180)]
    held = split(rows)["test"][0]
    rows[rows.index(held)] = Row(held.text, 2, group=held.group)
    with pytest.raises(InvalidTask, match="a label of the test split is in no training row"):
        split(rows)


@pytest.mark.parametrize("kind", KINDS)
def test_every_row_is_in_one_split_in_its_stratums_proportion(kind: TaskKind) -> None:
    """Labels, label sets and the range of values look alike on every side."""
    rows = rows_of(960, kind)
    found = split(rows, kind)
    assert sorted(row.text for part in found.values() for row in part) == sorted(row.text for row in rows)
    assert len(found["validation"]) == len(found["test"])
    assert 100 <= len(found["test"]) <= 120
    if kind is R:
        assert mean(found["test"]) == pytest.approx(mean(rows), rel=0.05)
    else:
        shares = [Counter(row.label for row in found[part]) for part in ("validation", "test")]
        assert shares[0] == shares[1] == {key: 960 // len(shares[0]) // 8 for key in shares[0]}


def test_rare_label_sets_are_held_out_together() -> None:
    """Sixty-four sets of one row each still leave an eighth on either side."""
    rows = [Row(f"text {n}", tuple(bit for bit in range(6) if n >> bit & 1)) for n in range(64)]
    found = split(rows, M)
    assert [len(found[part]) for part in SPLITS] == [48, 8, 8]


@pytest.mark.parametrize("groups", [None, 40])
@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_the_file_does_not_matter(kind: TaskKind, groups: int | None) -> None:
    """Splits follow from the texts alone."""
    rows = rows_of(400, kind, groups=groups)
    shuffled = random.Random(1).sample(rows, len(rows))
    assert split(rows, kind) == split(shuffled, kind)


@given(
    sizes=st.lists(st.integers(1, 30), min_size=12, max_size=40),
    kind=st.sampled_from(KINDS),
    seed=st.integers(0, 100),
)
def test_no_group_is_in_two_splits(sizes: list[int], kind: TaskKind, seed: int) -> None:
    """However large the groups are and whatever labels they have."""
    numbers = random.Random(seed)
    rows = [
        Row(f"text {group} {n}", label(numbers.randrange(97), kind), group=str(group))
        for group, size in enumerate(sizes)
        for n in range(size)
    ]
    try:
        found = split(rows, kind)
    except InvalidTask:
        return
    groups = [{row.group for row in found[part]} for part in SPLITS]
    assert sum(map(len, groups)) == len(set().union(*groups)) == len(sizes)
    assert sum(map(len, found.values())) == len(rows)


def test_held_out_groups_are_about_an_eighth_of_the_rows() -> None:
    """And a group that is most of its label is trained on."""
    rows = rows_of(960, C, groups=60) + [Row(f"big {n}", 0, group="big") for n in range(900)]
    found = split(rows)
    assert all(row.group != "big" for part in ("validation", "test") for row in found[part])
    assert 100 <= len(found["test"]) <= 260


def test_rows_without_a_group_stand_for_themselves() -> None:
    """An empty cell is no group that all of them share."""
    rows = [Row(f"text {n}", n % 2, group="a" if n < 10 else None) for n in range(160)]
    found = split(rows)
    assert [len(found[part]) for part in SPLITS] == [122, 19, 19]


def test_named_splits_are_kept_and_missing_ones_come_from_training() -> None:
    """An official test split stays whole."""
    test = [Row(f"official {n}", n % 3) for n in range(10)]
    found = three_splits({"train": rows_of(240, C), "test": test}, kind=C)
    assert {row.text for row in found["test"]} == {row.text for row in test}
    assert [len(found[part]) for part in SPLITS] == [210, 30, 10]


@pytest.mark.parametrize("named", ["test", "validation"])
def test_a_group_of_a_named_split_is_left_out_of_training(named: str) -> None:
    """The rows of the others stay, and none of the named split goes."""
    official = [Row(f"official {n}", n % 3, group=f"group {n % 6}") for n in range(12)]
    found = three_splits({"train": rows_of(240, C, groups=20), named: official}, kind=C)
    groups = [{row.group for row in found[part]} for part in SPLITS]
    assert sum(map(len, groups)) == len(set().union(*groups)) == 20
    assert len(found[named]) == 12
    assert sum(map(len, found.values())) == 12 + 240 * 14 // 20


def test_a_group_of_two_named_splits_stays_in_the_one_that_is_tested() -> None:
    """Validation rows of a tested group would make its score too good, too."""
    of_train = [Row(f"train {n}", n % 3) for n in range(60)]
    held = {name: [Row(f"{name} {n}", n % 3, group=str(n % places)) for n in range(12)]
            for name, places in (("validation", 12), ("test", 6))}  # fmt: skip
    found = three_splits({"train": of_train, **held}, kind=C)
    assert {row.group for row in found["validation"]} == {"6", "7", "8", "9", "10", "11"}


@pytest.mark.parametrize(
    ("of_train", "complaint"),
    [
        (rows_of(60, C, groups=6), "every row of the train split has a group"),
        ([*rows_of(60, C, groups=6), *(Row(f"more {n}", n % 2) for n in range(60))], "one of the labels"),
    ],
)
def test_training_rows_whose_groups_are_all_tested_are_refused(of_train: list[Row], complaint: str) -> None:
    """Nothing is left to train on, or nothing of a class."""
    official = [Row(f"official {n}", n % 3, group=f"group {n}") for n in range(6)]
    with pytest.raises(InvalidTask, match=complaint) as refused:
        three_splits({"train": of_train, "test": official}, kind=C)
    assert refused.value.errors[0].pointer == "/configuration/task/group_column"


@pytest.mark.parametrize("kind", KINDS)
def test_fewer_rows_are_a_balanced_part_of_more(kind: TaskKind) -> None:
    """Asking for less moves no row to another split and keeps the strata's shares."""
    train = split(rows_of(960, kind), kind)["train"]
    few, more = take(train, 96, kind=kind), take(train, 300, kind=kind)
    assert set(few) <= set(more) <= set(take(train, None, kind=kind))
    assert len(few) == 96
    if kind is R:
        assert mean(few) == pytest.approx(mean(train), rel=0.05)
    else:
        counts = Counter(row.label for row in few)
        assert max(counts.values()) - min(counts.values()) <= 1
