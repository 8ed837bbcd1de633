"""From cells to labelled rows, and everything that can be wrong with them."""

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from api_schemas.tasks import Task, TaskKind
from service.catalogue.tasks import rows as rows_module
from service.catalogue.tasks.rows import Row, Rows, read_rows
from service.catalogue.tasks.tables import Table, open_table
from service.errors import InvalidTask

C, M, R = TaskKind.CLASSIFICATION, TaskKind.MULTI_LABEL, TaskKind.REGRESSION


def table(*rows: tuple[Any, ...], columns: tuple[str, ...] = ("text", "label")) -> Table:
    places = [dict(zip(columns, row, strict=True)) for row in rows]

    def cells(wanted: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        return (tuple(row[name] for name in wanted) for row in places)

    return Table("a.jsonl", columns, cells, count=lambda: len(places))


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


def named(*rows: tuple[Any, ...], names: tuple[str, ...] = ("neg", "neutral", "pos")) -> Table:
    return replace(table(*rows), class_names={"label": names})


def test_rows_without_a_gold_label_are_missing_ones_where_the_classes_have_names() -> None:
    """-1 is no class then, and a split that has nothing else is not used."""
    train = named(("x", 2), ("y", -1), ("z", 0), ("w", 2))
    found = read(train, test=named(("u", -1), ("v", -1)))
    assert found.labels == ("neg", "pos")
    assert [(row.text, row.label) for row in found.by_split["train"]] == [("x", 1), ("z", 0), ("w", 1)]
    assert found.dropped["missing_labels"] == 3
    assert list(found.by_split) == ["train"]


def test_names_of_classes_are_written_as_cells_are() -> None:
    """Whichever of the forms stands where."""
    found = read(named(("x", "True"), ("y", "false"), ("z", 1), names=("False", "True")))
    assert found.labels == ("false", "true")
    assert [row.label for row in found.by_split["train"]] == [1, 0, 1]


def test_minus_one_without_names_is_asked_about() -> None:
    """Both answers are one field."""
    rows = [("x", 2), ("y", -1), ("z", 0), ("w", 1)]
    with pytest.raises(InvalidTask, match="'-1' among the labels -1, 0, 1, 2 may mean") as refused:
        read(table(*rows))
    assert refused.value.errors[0].pointer == "/configuration/task/label_column"
    assert read(table(*rows), missing_labels=["-1"]).labels == ("0", "1", "2")
    assert read(table(*rows), missing_labels=[]).labels == ("-1", "0", "1", "2")


def test_the_names_of_the_card_come_before_those_of_the_file() -> None:
    """As the `datasets` library has it."""
    tables = [("train", named(("x", 0), ("y", 1)))]
    task = Task(name="hub:a/b")
    assert read_rows(tables, task, kind=C, class_names={"label": ("no", "yes")}).labels == ("no", "yes")
    with pytest.raises(InvalidTask, match=r"'a\.jsonl': row 2 has 1, which is none of the 1 classes"):
        read_rows(tables, task, kind=C, class_names={"label": ("no",)})


def test_a_file_that_lacks_a_column_is_named() -> None:
    """Its rows would pass for empty ones."""
    other = replace(table(("y", "b"), columns=("sentence", "label")), file="train-1.jsonl")
    with pytest.raises(
        InvalidTask, match=r"'train-1\.jsonl' has no column 'text'; there are: sentence, label"
    ):
        read_rows([("train", table(("x", "a"))), ("train", other)], Task(name="hub:a/b"), kind=C)


def lines(*rows: dict[str, Any]) -> Table:
    file = io.BytesIO("\n".join(map(json.dumps, rows)).encode())
    return open_table(file, name="a.jsonl")


@pytest.mark.parametrize("column", ["text", "label", "pair", "group"])
def test_a_row_of_another_kind_is_refused(column: str) -> None:
    """It lacks a column, and has one that the others lack."""
    row = {"text": "x", "label": "a", "pair": "p", "group": "g"}
    other = {**row, "label": "b", "text": "y", column + "_2": row[column]}
    del other[column]
    with pytest.raises(InvalidTask, match=f"row 3 has no '{column}', but {column}_2") as refused:
        read(lines(row, {**row, "label": "b"}, other), text_pair_column="pair", group_column="group")
    field = "text_pair_column" if column == "pair" else f"{column}_column"
    assert refused.value.errors[0].pointer == f"/configuration/task/{field}"


def test_a_row_that_lacks_a_column_and_has_no_other_is_empty_or_unlabelled() -> None:
    """As if it were null."""
    found = read(
        lines({"text": "x", "label": "a"}, {"text": "y"}, {"label": "b"}, {"text": "z", "label": "b"})
    )
    assert (found.dropped["empty_texts"], found.dropped["missing_labels"]) == (1, 1)


@pytest.mark.parametrize("cell", [b"\xff", ["a"], {"a": 1}, 3, True])
def test_a_text_that_is_none_is_refused(cell: object) -> None:
    """In either text of a pair; bytes that are UTF-8 are one."""
    with pytest.raises(InvalidTask, match="row 1 has") as refused:
        read(table((cell, "a"), ("y", "b")))
    assert refused.value.errors[0].pointer == "/configuration/task/text_column"
    rows = [("x", "1", cell), ("y", "2", "z")]
    with pytest.raises(InvalidTask, match="row 1 has"):
        read(table(*rows, columns=("text", "label", "pair")), text_pair_column="pair")
    assert read(table((b" caf\xc3\xa9", "a"), ("y", "b"))).by_split["train"][0].text == "caf\u00e9"


def test_a_group_is_a_name() -> None:
    """A list or a mapping is none; 1 and 1.0 are the same."""
    columns = ("text", "label", "group")
    for cell in (["g"], {"g": 1}, b"\xff"):
        with pytest.raises(InvalidTask, match="row 1 has") as refused:
            read(table(("x", "a", cell), ("y", "b", "g"), columns=columns), group_column="group")
        assert refused.value.errors[0].pointer == "/configuration/task/group_column"
    found = read(table(("x", "a", 1.0), ("y", "b", 1), columns=columns), group_column="group")
    assert [row.group for row in found.by_split["train"]] == ["1", "1"]


def test_values_near_the_end_of_floats_are_refused() -> None:
    """Their mean, or their squares, would be no number."""
    with pytest.raises(InvalidTask, match="the limit is"):
        read(table(("x", 1e308), ("x", 1e308), ("y", -1e308)), R)
    found = read(table(("x", 1e100), ("x", 1e99), ("y", -1e100)), R)
    assert found.by_split["train"][0].label == pytest.approx(5.5e99)


@pytest.mark.parametrize(
    ("limit", "complaint"), [("MAX_ROWS", "more than 1 rows"), ("MAX_UNPACKED", "1 characters")]
)
def test_rows_and_texts_of_all_files_have_a_limit(
    limit: str, complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentence names it."""
    monkeypatch.setattr(rows_module, limit, 1)
    with pytest.raises(InvalidTask, match=complaint):
        read(table(("x", "a")), test=table(("y", "b")))


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


@pytest.mark.parametrize("column", ["te\u0301xt", "\ufefftéxt", " téxt "])
def test_a_column_is_the_one_that_looks_the_same(column: str) -> None:
    """However its letters are composed, and whatever else is not seen of its name."""
    found = read(table(("x", "a"), ("y", "b"), columns=(column, "label")), text_column="téxt")
    assert [row.text for row in found.by_split["train"]] == ["x", "y"]
    with pytest.raises(InvalidTask, match="no column 'téxt'"):
        read(table(("x", "y", "a"), columns=(column, column + " ", "label")), text_column="téxt")


def test_texts_that_are_names_of_numbers_are_read_by_name() -> None:
    """Where the format tells them from numbers."""
    found = read(named(("x", "1"), ("y", "2"), ("z", "3"), names=("1", "2", "3")))
    assert found.labels == ("1", "2", "3")
