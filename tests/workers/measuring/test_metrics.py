"""Metrics against scikit-learn and SciPy, whatever the labels are."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as reference

from api_schemas.tasks import SCORES, ScoreMetric, TaskKind
from workers.measuring.metrics import (
    classification_metrics,
    is_collapsed,
    multi_label_metrics,
    regression_metrics,
)

CLASSES = 4
labels = st.integers(0, CLASSES - 1)
values = st.one_of(st.integers(-3, 3).map(float), st.floats(-1e6, 1e6))


def test_every_score_of_a_kind_is_computed() -> None:
    """The negated loss comes from the loss; everything else from the labels."""
    once = np.array([1, 0, 1])
    found = {
        TaskKind.CLASSIFICATION: classification_metrics(once, once, classes=2),
        TaskKind.MULTI_LABEL: multi_label_metrics(once[:, None] > 0, once[:, None] > 0),
        TaskKind.REGRESSION: regression_metrics(once.astype(float), once.astype(float)),
    }
    assert all({*found[kind], ScoreMetric.NEGATIVE_LOSS} == {*SCORES[kind]} for kind in TaskKind)


@given(st.lists(st.tuples(labels, labels), min_size=1, max_size=40))
def test_classification(pairs: list[tuple[int, int]]) -> None:
    """Macro-F1 is over the classes that occur; a constant side has no correlation."""
    true, predicted = np.array(pairs).T
    found = classification_metrics(true, predicted, classes=CLASSES)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns of labels that do not occur
        expected = {
            ScoreMetric.ACCURACY: reference.accuracy_score(true, predicted),
            ScoreMetric.MACRO_F1: reference.f1_score(
                true, predicted, labels=np.unique(true), average="macro", zero_division=0
            ),
            ScoreMetric.MATTHEWS: reference.matthews_corrcoef(true, predicted),
        }
    assert found == pytest.approx(expected, abs=1e-12)


@given(st.lists(st.tuples(*[st.booleans()] * 6), min_size=1, max_size=30))
def test_multi_label(rows: list[tuple[bool, ...]]) -> None:
    """Accuracy is for exactly the right set, macro-F1 over the labels that some row has."""
    table = np.array(rows)
    true, predicted = table[:, :3], table[:, 3:]
    present = np.flatnonzero(true.any(axis=0))
    f1 = 0.0
    if present.size:
        f1 = reference.f1_score(true, predicted, labels=present, average="macro", zero_division=0)
    assert multi_label_metrics(true, predicted) == pytest.approx(
        {
            ScoreMetric.ACCURACY: reference.accuracy_score(true, predicted),
            ScoreMetric.MACRO_F1: f1,
        }
    )


def test_classes_that_no_row_has_take_nothing_from_a_perfect_answer() -> None:
    """Of 52 classes, validation holds two; each wrong answer counts, whichever class it names."""
    true = np.array([0, 1, 1, 0])
    assert classification_metrics(true, true, classes=52)[ScoreMetric.MACRO_F1] == 1.0
    wrong = classification_metrics(true, np.array([51, 1, 1, 0]), classes=52)[ScoreMetric.MACRO_F1]
    assert wrong == pytest.approx((2 / 3 + 1) / 2)
    sets = np.eye(52, dtype=bool)[true]
    assert multi_label_metrics(sets, sets)[ScoreMetric.MACRO_F1] == 1.0


@given(st.lists(st.tuples(values, values), min_size=2, max_size=40))
def test_regression(pairs: list[tuple[float, float]]) -> None:
    """Equal values share a rank; a constant side gives 0 where SciPy gives no number."""
    true, predicted = np.array(pairs).T
    found = regression_metrics(true, predicted)
    if np.ptp(true) == 0 or np.ptp(predicted) == 0:
        assert found == {ScoreMetric.SPEARMAN: 0.0, ScoreMetric.PEARSON: 0.0}
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SciPy warns of nearly constant input
        spearman, pearson = stats.spearmanr(true, predicted), stats.pearsonr(true, predicted)
    assert found[ScoreMetric.SPEARMAN] == pytest.approx(spearman.statistic, abs=1e-9)
    assert found[ScoreMetric.PEARSON] == pytest.approx(pearson.statistic, abs=1e-6)


def test_one_answer_for_all_is_called_collapsed() -> None:
    """A class, a set of labels, or values that hardly differ."""
    spread = np.array([1.0, 2.0, 3.0, 4.0])
    constant = np.array([2, 2, 2, 2])
    assert is_collapsed(spread, constant, kind=TaskKind.CLASSIFICATION)
    assert not is_collapsed(spread, np.array([2, 2, 1, 2]), kind=TaskKind.CLASSIFICATION)
    same = np.array([[True, False]] * 4)
    assert is_collapsed(spread, same, kind=TaskKind.MULTI_LABEL)
    assert not is_collapsed(spread, np.array([*same[:3], [True, True]]), kind=TaskKind.MULTI_LABEL)
    assert is_collapsed(spread, 5 + 0.009 * spread, kind=TaskKind.REGRESSION)
    assert not is_collapsed(spread, 5 + 0.011 * spread, kind=TaskKind.REGRESSION)
