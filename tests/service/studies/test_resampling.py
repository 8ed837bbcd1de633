"""Few rows of a table are dealt into folds where nobody says, and folds that cannot be are refused."""

from dataclasses import replace
from typing import Any

import pytest

from api_schemas.tasks import Task, TaskKind
from service.catalogue.tasks.facts import TaskFacts
from service.catalogue.tasks.folds import PoolFacts
from service.studies.resampling import folds_problem, with_resampling

FACTS = TaskFacts(
    "file:a.csv",
    TaskKind.CLASSIFICATION,
    ("a", "b"),
    takes_pairs=False,
    split_rows=(1749, 250, 250),
    pool=PoolFacts(1999, 1999, grouped=False, rarest_label="b", rarest_units=5),
)
FIVE, THREE = {"folds": 5}, {"folds": 3}


def resampling(facts: TaskFacts = FACTS, *, name: str = "file:a.csv", **fields: Any) -> object:
    task = Task.model_validate({"name": name, **fields})
    return with_resampling(task, facts).model_dump(mode="json").get("resampling")


@pytest.mark.parametrize(
    ("facts", "folds", "problem"),
    [
        ({"names_validation": True}, 5, "'file:a.csv' has a validation split of its own"),
        ({}, 6, "6 folds need 6 rows of each label; 'b' has 5"),
        ({"pool": PoolFacts(4, 4, False)}, 5, "5 folds need 5 rows; train and validation together have 4"),
        ({"pool": PoolFacts(90, 4, True, "b", 4)}, 5, "need 5 groups; train and validation together have 4"),
        ({"pool": PoolFacts(90, 9, True, "b", 2)}, 3, "3 folds need 3 groups of each label; 'b' has 2"),
    ],
)  # fmt: skip
def test_folds_that_cannot_be_are_named(facts: dict[str, Any], folds: int, problem: str) -> None:
    """With what there is, and what to do instead."""
    found = folds_problem(replace(FACTS, **facts), folds=folds)
    assert found is not None
    assert problem in found
    assert "'hold_out'" in found


def test_as_many_folds_as_rows_of_the_rarest_label_are_fine() -> None:
    """Each fold has one of them."""
    assert folds_problem(FACTS, folds=5) is None


def test_few_rows_of_a_table_get_five_folds() -> None:
    """A file's, and a data set's without a validation split."""
    assert resampling() == resampling(name="hub:a/b") == FIVE


@pytest.mark.parametrize(
    "facts",
    [
        {"split_rows": (1750, 250, 250)},
        {"names_validation": True},
        {"pool": PoolFacts(1999, 1999, False, "b", 4)},
    ],
)
def test_others_are_held_out_from(facts: dict[str, Any]) -> None:
    """2,000 rows, a validation split of their own, or a label too rare for five folds."""
    assert resampling(replace(FACTS, **facts)) is None


@pytest.mark.parametrize(
    "fields", [{"name": "rotten-tomatoes"}, {"train_rows": 100}, {"validation_rows": 100}, {"test_rows": 9}]
)
def test_packaged_tasks_and_counts_mean_hold_out(fields: dict[str, Any]) -> None:
    """Scores of packaged tasks stay comparable; a count, save of test rows, says how many to train on."""
    assert resampling(**fields) == (FIVE if "test_rows" in fields else None)


def test_what_was_said_stands() -> None:
    """Hold-out is written out where folds are the default, and nowhere else: keys of before stay the same."""
    assert resampling(resampling=THREE) == resampling(name="imdb", resampling=THREE) == THREE
    assert resampling(resampling="hold_out") == "hold_out"
    assert resampling(name="imdb", resampling="hold_out") is None
    assert resampling(replace(FACTS, split_rows=(9000, 9, 9)), resampling="hold_out") is None


def test_a_stored_task_posted_anew_gets_the_same_rows() -> None:
    """Also one that was stored before there were folds."""
    for task in ({}, {"resampling": "hold_out"}, {"resampling": THREE}, {"train_rows": 9}):
        stored = Task.model_validate({"name": "file:a.csv", **task})
        assert with_resampling(stored.as_posted(), FACTS).folds == stored.folds
    assert Task(name="imdb").as_posted() == Task(name="imdb")
