"""All labels of a task at once: their order, and what gives away that they were read wrongly."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_schemas.tasks import TaskKind
from service.catalogue.tasks.label_names import FileLabels, doubts, in_order
from service.catalogue.tasks.limits import MAX_CLASSES

C, M = TaskKind.CLASSIFICATION, TaskKind.MULTI_LABEL


def doubt(*names: str, kind: TaskKind = C, typed: bool = False, asked: bool = False) -> str | None:
    return doubts({"a": FileLabels(typed, names=set(names))}, kind=kind, asked_for_missing=asked)


@pytest.mark.parametrize(
    ("names", "ordered"),
    [
        (["10", "9", "-1"], ["-1", "9", "10"]),
        (["1", "01", "001"], ["001", "01", "1"]),
        (["0.5", "10", "2.5"], ["0.5", "2.5", "10"]),
        (["class 10", "class 2", "class 02"], ["class 02", "class 2", "class 10"]),
        (["b", "B", "a"], ["B", "a", "b"]),
        (["x" + "9" * 400, "x1" + "0" * 400], ["x" + "9" * 400, "x1" + "0" * 400]),
    ],
)
def test_names_stand_in_the_order_of_numbers_then_letters(names: list[str], ordered: list[str]) -> None:
    """Also of numbers within names, and of more digits than Python turns into a number."""
    assert list(in_order(names)) == ordered


@given(st.lists(st.text(alphabet="019.-eE a", max_size=6), unique=True), st.randoms())
def test_the_order_does_not_depend_on_how_names_come(names: list[str], shuffler: object) -> None:
    """It is total."""
    mixed = list(names)
    shuffler.shuffle(mixed)  # type: ignore[attr-defined]
    assert in_order(names) == in_order(mixed)


def test_the_order_is_the_same_in_every_process() -> None:
    """Sets of texts are ordered by a secret of the process."""
    script = (
        "from service.catalogue.tasks.label_names import in_order; print(in_order({'1', '01', '001', 'a1'}))"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            capture_output=True,
            check=True,
            cwd=Path(__file__).parents[4],
        ).stdout
        for seed in range(3)
    }
    assert len(found) == 1


def test_the_order_of_the_data_set_comes_first() -> None:
    """Where it names all of them."""
    names = ("entailment", "neutral", "contradiction")
    assert in_order({"contradiction", "entailment"}, class_names=names) == ("entailment", "contradiction")
    assert in_order({"b", "a"}, class_names=("b",)) == ("a", "b")


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        (("-1", "0", "1", "2"), "'-1' among the labels -1, 0, 1, 2 may mean that there is none. Set"),
        (("-1", "0", "1"), '["-1"] if so, and to [] if it is a class'),
        (("-100", "0", "1"), "'-100'"),
        (("-1", "pos", "neg"), "'-1'"),
        (("a", "b", "nan"), "'nan'"),
        (("yes", "no", "-"), "'-'"),
        (("a", "b", "<NA>", "None"), "'<NA>' and 'None'"),
        (("1", "0", "true", "false"), "labels of two kinds: 0, 1, false, true"),
        (("1.5", "1.50"), "'1.5' and '1.50' are the same number"),
        (("1000", "1e3"), "are the same number"),
        (("joy", "fear", "joy|fear"), "'joy|fear' seems to be several"),
        (("joy", "fear", "joy, fear"), "'joy, fear' seems to be several"),
        (("27", "2,3", "3"), "'2,3' seems to be several"),
        (("Pos", "pos", "neg"), "'Pos' and 'pos' differ only in capitals"),
        (("very good", "very  good"), "differ only in capitals, white space"),
        (("pos", "\u200bpos"), "'pos' and '\\u200bpos' differ"),
        (("\u200b", "a", "b"), "'\\u200b' has only characters that are not seen"),
        (('"joy"', '"fear"'), 'the label "fear" is as a program prints a value'),
        (("'joy'", "fear"), "the label 'joy' is as"),
        (("b'joy'", "b'fear'"), "the label b'fear' is as"),
        (("('joy', 'fear')", "('joy',)"), "as a program prints a value"),
    ],
)
def test_labels_with_two_readings_are_doubted(names: tuple[str, ...], complaint: str) -> None:
    """With both of them."""
    found = doubt(*names)
    assert found is not None
    assert complaint in found


@pytest.mark.parametrize(
    "names",
    [
        ("0", "1"), ("-1", "1"), ("-2", "-1", "0", "1", "2"), ("1", "01", "001"), ("1", "2", "not rated"),
        ("none", "some"), ("a,b", "c"), ("true", "false"), ("a|b", "b|c"), ("0.5", "1"),
        ("Paris, France", "France"), ("1,5", "2,5"), ("rock 'n' roll", "(other)"), ("b", "a's"),
    ],
)  # fmt: skip
def test_labels_with_one_reading_are_not(names: tuple[str, ...]) -> None:
    """Two sides, a scale, codes, names with commas."""
    assert doubt(*names) is None


def test_who_says_what_is_missing_is_not_asked() -> None:
    """Not even by an empty list."""
    assert doubt("-1", "0", "1", "nan", asked=True) is None


@pytest.mark.parametrize(
    ("names", "complaint"),
    [(("joy,fear", "joy,anger"), "bars"), (("joy,fear", "joy", "anger"), "bars"), (("010", "110"), "0 or 1")],
)
def test_several_labels_in_one_cell_without_bars_are_doubted(names: tuple[str, ...], complaint: str) -> None:
    """Each combination would be a label."""
    found = doubt(*names, kind=M)
    assert found is not None
    assert complaint in found
    assert doubt(*names) is None


def test_files_with_labels_of_two_kinds_are_doubted() -> None:
    """Numbers here and names there are the same classes, more likely than not."""
    numbers, words = FileLabels(typed=True, names={"0", "1"}), FileLabels(typed=True, names={"neg", "pos"})
    found = doubts({"a.jsonl": numbers, "b.jsonl": words}, kind=C, asked_for_missing=False)
    assert found is not None
    assert "'a.jsonl' has 0, 1; 'b.jsonl' has neg, pos" in found
    assert doubt("0", "1", "neg", "pos", typed=True) is not None
    named = FileLabels(typed=True, class_names=("neg", "pos"), names={"neg", "pos"})
    found = doubts({"a": numbers, "b": named}, kind=C, asked_for_missing=False)
    assert found == "'b' says which names the numbers of its labels stand for, and 'a' does not"


def test_texts_taken_for_labels_are_doubted() -> None:
    """Nobody has so many classes."""
    found = doubt(*map(str, range(MAX_CLASSES + 1)))
    assert found is not None
    assert "10,001 different labels; the limit is 10,000" in found
