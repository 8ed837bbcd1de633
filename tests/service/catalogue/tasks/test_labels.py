"""What a cell of the label column says, or why it says nothing that could be learnt."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_schemas.tasks import TaskKind
from service.catalogue.tasks.labels import LabelReader, Unreadable, name_of

C, M, R = TaskKind.CLASSIFICATION, TaskKind.MULTI_LABEL, TaskKind.REGRESSION
SNLI = ("entailment", "neutral", "contradiction")


def shown(given: object) -> str:
    """The same name for a case in every process: a set is shown in order."""
    return f"{sorted(given) if isinstance(given, frozenset) else given!r:.30}"


@pytest.mark.parametrize(
    ("kind", "cell", "complaint"),
    [
        (C, ["joy"], "a list of labels .* set kind to multi_label"),
        (C, '["joy", "fear"]', "a list of labels"),
        (C, "['joy' 'fear']", "a list of labels"),
        (C, "[]", "a list of labels"),
        (C, "{'id': 0}", "where a label should be"),
        (C, {"id": 0, "name": "neg"}, "'name': 'neg'.* where a label should be"),
        (C, b"\xff", "bytes that are no UTF-8"),
        (C, "0 1 0", "a 0 or 1 for each label"),
        (C, "0,1,0", "a 0 or 1 for each label"),
        (C, "9" * 5_000, "5,000 characters .* the limit is 500. Is it the column of the texts"),
        (C, "x" * 20_000, "20,000 characters .* limit is 10,000"),
        (C, "a\tb", "control character"),
        (C, "a\0b", "control character"),
        (M, [{"id": 0, "name": "neg"}], "'name': 'neg'.* where a label should be"),
        (M, [["joy"]], "where a label should be"),
        (M, '["joy", ["fear"]]', "where a label should be"),
        (M, "['joy' 'fear']", "no list of labels"),
        (M, "[0. 1. 0.]", "no list of labels"),
        (M, [0, 1, 0], "a 0 or 1 for each label"),
        (M, [0.0, 1.0, 1.0], "a 0 or 1 for each label"),
        (M, [True, False], "a 0 or 1 for each label"),
        (M, "[0, 1, 0]", "a 0 or 1 for each label"),
        (M, "0|1|0", "a 0 or 1 for each label"),
        (M, "1 0", "a 0 or 1 for each label"),
        (M, [0.2, 0.8], "0.2 in a list of labels"),
        (M, {"joy": 1}, "where a label should be"),
        (R, "many", "'many' where a number should be"),
        (R, True, "True where a number should be"),
        (R, "1_000", "'1_000' where a number"),
        (R, "3,5", "where a number should be; write 1234.5, with a point"),
        (R, [1.0], "where a number should be"),
        (R, "1e308", "the limit is 1e[+]100: divide"),
        (R, -1e308, "the limit is 1e[+]100"),
        (R, 10**400, "where a number should be"),
        (R, "9" * 5_000, "where a number should be"),
        (R, "inf", "where a number should be"),
    ],
    ids=shown,
)
def test_a_cell_that_is_no_label_is_refused(kind: TaskKind, cell: Any, complaint: str) -> None:
    """It never becomes a name by being printed."""
    with pytest.raises(Unreadable, match=complaint):
        LabelReader(kind).read(cell)


@pytest.mark.parametrize(
    ("kind", "cell", "found"),
    [
        (C, b"neg", "neg"),
        (C, " [unk] ", "[unk]"),
        (C, "[INST", "[INST"),
        (C, "1.0", "1"),
        (C, "-1.00", "-1"),
        (C, "-0.0", "0"),
        (C, "1.50", "1.5"),
        (C, "01", "01"),
        (C, "TRUE", "true"),
        (C, "tRUE", "tRUE"),
        (C, "e\u0301te\u0301", "\u00e9t\u00e9"),
        (C, 1e308, "1e+308"),
        (C, 2.0, "2"),
        (C, float("nan"), None),
        (C, "", None),
        (M, '["joy", "fear"]', frozenset({"joy", "fear"})),
        (M, "['joy', 'fear',]", frozenset({"joy", "fear"})),
        (M, "[joy, fear]", frozenset({"joy", "fear"})),
        (M, "[3, 1]", frozenset({"1", "3"})),
        (M, "joy| fear |", frozenset({"joy", "fear"})),
        (M, "joy|joy", frozenset({"joy"})),
        (M, [b"joy", None], frozenset({"joy"})),
        (M, [], frozenset()),
        (M, "[]", frozenset()),
        (M, "", frozenset()),
        (M, None, None),
        (R, b" 1.5 ", 1.5),
        (R, "", None),
        (R, float("nan"), None),
        (R, -1, -1.0),
    ],
    ids=shown,
)
def test_a_label_is_written_in_one_way(kind: TaskKind, cell: Any, found: object) -> None:
    """As it would be in a format that knows numbers, truth values and lists."""
    assert LabelReader(kind).read(cell) == found


@pytest.mark.parametrize(
    ("kind", "cell", "found"),
    [
        (C, 0, "entailment"),
        (C, 2.0, "contradiction"),
        (C, "1", "neutral"),
        (C, "1.0", "neutral"),
        (C, "neutral", "neutral"),
        (C, -1, None),
        (C, "-1", None),
        (C, -1.0, None),
        (C, None, None),
        (M, [0, 2], frozenset({"entailment", "contradiction"})),
        (M, "0|neutral", frozenset({"entailment", "neutral"})),
        (M, [-1], None),
        (R, -1, None),
        (R, 2, 2.0),
    ],
)
def test_numbers_stand_for_the_names_of_the_data_set(kind: TaskKind, cell: Any, found: object) -> None:
    """And -1 for no class, as the `datasets` library has it."""
    assert LabelReader(kind, class_names=SNLI).read(cell) == found


@pytest.mark.parametrize("cell", [3, -2, "maybe", "Neutral", 0.5, "1.5"])
def test_a_number_that_stands_for_no_name_is_refused(cell: object) -> None:
    """The names are of other data, or the column is another."""
    with pytest.raises(Unreadable, match="none of the 3 classes that are named"):
        LabelReader(C, class_names=SNLI).read(cell)


def test_names_that_are_numbers_are_told_by_their_place() -> None:
    """Of stars called 1 to 5, the cell 0 is one star, and no number is read now so and now so."""
    stars = LabelReader(C, class_names=("1", "2", "3", "4", "5"))
    assert [stars.read(cell) for cell in (0, 4, "4")] == ["1", "5", "5"]
    with pytest.raises(Unreadable, match="none of the 5 classes"):
        stars.read("5")
    sides = LabelReader(C, class_names=("-1", "0", "1"))
    assert [sides.read(cell) for cell in (0, 1, 2)] == ["-1", "0", "1"]


def test_a_text_that_is_a_name_is_no_place_in_a_format_with_types() -> None:
    """There the text 4 is four stars, and the number 4 the fifth of them."""
    stars = LabelReader(C, class_names=("1", "2", "3", "4", "5"), typed=True)
    assert [stars.read(cell) for cell in ("1", "4", "5", 4, "0")] == ["1", "4", "5", "5", "1"]


def test_what_stands_for_no_label_is_the_owners_to_say() -> None:
    """In any of its forms; a set of nothing else is no label, either."""
    missing = frozenset({"-1", "nan"})
    for kind, cell in ((C, -1), (C, "-1.0"), (C, "nan"), (M, "-1"), (M, ["nan", -1]), (R, "-1"), (R, -1.0)):
        assert LabelReader(kind, missing=missing).read(cell) is None
    assert LabelReader(M, missing=missing).read("joy|nan") == {"joy"}


cells = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(TaskKind), cells, st.sampled_from([(), SNLI]))
def test_any_cell_is_a_label_of_the_kind_or_refused(
    kind: TaskKind, cell: Any, names: tuple[str, ...]
) -> None:
    """No other error, and what was read is read again."""
    reader = LabelReader(kind, class_names=names)
    try:
        found = reader.read(cell)
    except Unreadable:
        return
    assert found is None or isinstance(found, {C: str, M: frozenset, R: float}[kind])
    if isinstance(found, str):
        assert name_of(found) == found
        assert not names or found in names
