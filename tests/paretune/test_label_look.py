"""How labels are taken: their kind, and what stands for none."""

from collections import Counter
from collections.abc import Sequence

import pytest

from api_schemas.tasks import TaskKind
from paretune.label_look import guess_kind, guess_missing
from paretune.table_look import Column

C, M, R = TaskKind.CLASSIFICATION, TaskKind.MULTI_LABEL, TaskKind.REGRESSION
INTENTS = [str(n) for n in range(77)] * 30


def column(cells: Sequence[str]) -> Column:
    return Column("label", tuple(cells), Counter(cells))


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["good", "bad"], C),
        (["1", "2", "3", "4", "5"], C),
        (["0.0", "1.0", "nan"], C),
        (["0", "1", "NA"], C),
        (INTENTS, C),
        (["0.5", "1.0", "2.5"], R),
        (["0.5", "1.0", "NA"], R),
        ([str(n) for n in range(100)], R),
        ([str(n) for n in range(0, 200, 2)] * 30, R),
        (["joy|fear", "joy", "fear"], M),
        (["['joy', 'fear']", "['joy']", "[]"], M),
        (['["joy"]', *["joy"] * 99], M),
        (["[unk]", "known"], C),
    ],
)
def test_labels_have_the_kind_of_their_cells(cells: list[str], kind: TaskKind) -> None:
    """Stars and numbers without gaps are classes, a scale is not; bars and lists are several."""
    assert guess_kind(column(cells)).kind is kind


def test_many_numbers_without_gaps_are_no_sure_classes() -> None:
    """They may be ages; few are sure, and so is a scale with gaps."""
    assert not guess_kind(column(INTENTS)).sure
    assert guess_kind(column(["0", "1", "2"])).sure
    assert guess_kind(column([str(n * n) for n in range(77)])).sure


@pytest.mark.parametrize(
    ("cells", "kind", "missing"),
    [
        (["0", "1", "NA"], C, ("NA",)),
        (["0.5", "-1", "nan", "?"], R, ("?", "nan")),
        (["good", "bad", "None"], C, ("None",)),
        (["0", "1", "2"], C, ()),
        (["0", "1", "2", "-1", "NA"], C, ()),
    ],
)
def test_what_programs_write_for_nothing_is_no_label(
    cells: list[str], kind: TaskKind, missing: tuple[str, ...]
) -> None:
    """A -1 beside others has two readings, and only its owner knows which."""
    assert guess_missing(column(cells), kind) == missing
