"""From cells to labelled rows, and everything that can be wrong with them."""

from typing import Any

import pytest

from api_schemas.tasks import Task, TaskKind
from service.errors import InvalidTask
from service.task_catalogue.rows import Row, Rows, read_rows
from service.task_catalogue.tables import Table

C, M, R = TaskKind.CLASSIFICATION, TaskKind.MULTI_LABEL, TaskKind.REGRESSION


def table(*rows: tuple[Any, ...], columns: tuple[str, ...] = ("text", "label")) -> Table:
    places = [dict(zip(columns, row, strict=True)) for row in rows]
    return Table("a.jsonl", columns, lambda wanted: (tuple(row[name] for name in wanted) for row in places))


def read(train: Table, kind: TaskKind = C, **more: Any) -> Rows:
    others = [(split, more.pop(split)) for split in ("validation", "test") if split in more]
    return read_rows([("train", train), *others], Task(name="file:a.csv", kind=kind, **more), kind=kind)


@pytest.mark.parametrize(
    ("kind", "rows", "field", "complaint"),
    [
        (C, [("", "a"), (" ", "b"), (None, "c")], "text_column", "every text .* is empty"),
        (C, [("x", ""), ("y", None)], "name", "0 training rows with a label"),
        (C, [("x", "a"), ("y", "a")], "label_column", "the one class 'a'"),
        (C, [("x", ["a"]), ("y", ["b"])], "label_column", "row 1 has a list .* multi_label"),
        (C, [(1.5, "a"), ("y", "b")], "text_column", "row 1 has 1.5 where a text should be"),
        (M, [("x", "a|b"), ("y", ["b", "a"])], "label_column", "the same label"),
        (
            R,
            [("x", "1"), ("y", "one")],
            "label_column",
            "row 2 has 'one' where a number should be",
        ),
        (R, [("x", "1"), ("y", "nan")], "label_column", "row 2 has 'nan'"),
        (R, [("x", "1"), ("y", [2])], "label_column", "row 2"),
        (R, [("x", "1"), ("y", 1.0)], "label_column", "the same label"),
    ],
)
def test_data_that_cannot_be_learnt_from_is_refused(
    kind: TaskKind, rows: list[tuple[Any, ...]], field: str, complaint: str
) -> None:
    """The pointer is the column to blame, the sentence says where."""
    with pytest.raises(InvalidTask, match=complaint) as refused:
        read(table(*rows), kind)
    assert [error.pointer for error in refused.value.errors] == [f"/configuration/task/{field}"]


def test_every_missing_column_is_named_at_once() -> None:
    """With the columns that there are."""
    with pytest.raises(InvalidTask, match="there are: review, stars") as refused:
        read(table(("x", "1"), columns=("review", "stars")), group_column="author")
    assert {error.pointer.rsplit("/", 1)[1] for error in refused.value.errors} == {
        "text_column", "label_column", "group_column",
    }  # fmt: skip


def test_labels_that_training_lacks_are_refused() -> None:
    """Nothing could ever predict them."""
    train, test = table(("x", "a"), ("y", "b")), table(("z", "c"), ("v", "a"))
    with pytest.raises(InvalidTask, match="test split has labels that train lacks: 'c'"):
        read(train, test=test)


@pytest.mark.parametrize(("kind", "hidden"), [(C, -1), (C, "-1"), (R, -1.0)])
def test_a_test_split_with_hidden_labels_is_not_used(kind: TaskKind, hidden: object) -> None:
    """Benchmarks write -1 for the labels they keep; another test split is held out instead."""
    train, test = table(("x", 0), ("y", 1)), table(("z", hidden), ("v", hidden))
    assert list(read(train, kind, test=test).by_split) == ["train"]


def test_empty_texts_and_missing_labels_are_dropped_and_counted() -> None:
    """What is left keeps its order."""
    found = read(table(("x", "a"), ("", "a"), (None, "b"), ("y", ""), ("z", None), ("w", "b")))
    assert [row.text for row in found.by_split["train"]] == ["x", "w"]
    assert (found.dropped["empty_texts"], found.dropped["missing_labels"]) == (2, 2)


def test_a_repeated_text_counts_once_and_a_contradicted_one_not_at_all() -> None:
    """Values are averaged instead; the second text of a pair makes it another pair."""
    rows = [("x", "1"), ("x", "1"), ("y", "1"), ("y", "2"), ("z", "2")]
    found = read(table(*rows))
    assert [row.text for row in found.by_split["train"]] == ["x", "z"]
    assert (found.dropped["repeated_texts"], found.dropped["conflicting_labels"]) == (1, 2)
    values = read(table(*rows), R).by_split["train"]
    assert [(row.text, row.label) for row in values] == [("x", 1.0), ("y", 1.5), ("z", 2.0)]
    pairs = table(("q", "a", "1"), ("q", "b", "2"), columns=("text", "passage", "label"))
    assert len(read(pairs, text_pair_column="passage").by_split["train"]) == 2


def test_a_text_of_two_splits_stays_in_the_one_that_is_tested() -> None:
    """Or the score would be for remembering."""
    train = table(("x", "a"), ("y", "b"), ("z", "a"), ("v", "b"))
    found = read(train, validation=table(("y", "a"), ("w", "b")), test=table(("x", "a"), ("w", "a")))
    texts = {split: [row.text for row in rows] for split, rows in found.by_split.items()}
    assert texts == {"train": ["z", "v"], "validation": ["y"], "test": ["x", "w"]}


@pytest.mark.parametrize(
    ("cells", "labels"),
    [
        (["b", " a ", "b"], ("a", "b")),
        ([10, 9, 10], ("9", "10")),
        ([1.0, 0.0, 1.0], ("0", "1")),
        ([True, False, True], ("false", "true")),
        (["x", "1.5 stars", "x"], ("1.5 stars", "x")),
    ],
)
def test_classes_are_named_as_they_are_written(cells: list[object], labels: tuple[str, ...]) -> None:
    """In the order of numbers where all are numbers, else of letters."""
    found = read(table(*((f"text {n}", cell) for n, cell in enumerate(cells))))
    assert found.labels == labels
    assert [row.label for row in found.by_split["train"]] == [1, 0, 1]


def test_several_labels_are_a_list_or_a_cell_with_bars() -> None:
    """No label is a label set, too; a missing cell is none."""
    found = read(table(("v", "joy|fear"), ("w", ["fear"]), ("x", ""), ("y", []), ("z", None)), M)
    assert found.labels == ("fear", "joy")
    assert found.by_split["train"] == [Row("v", (0, 1)), Row("w", (0,)), Row("x", ()), Row("y", ())]
    assert found.dropped["missing_labels"] == 1


def test_pairs_and_groups_come_along() -> None:
    """A pair needs both of its texts."""
    columns = ("question", "answer", "stars", "author")
    rows = [("q", "a", 1, "me"), ("q", "b", 2, None), ("q", "", 1, "me")]
    found = read(
        table(*rows, columns=columns), R, text_column="question", text_pair_column="answer",
        label_column="stars", group_column="author",
    )  # fmt: skip
    assert found.by_split["train"] == [Row("q", 1.0, "a", "me"), Row("q", 2.0, "b", None)]
    assert found.dropped["empty_texts"] == 1
