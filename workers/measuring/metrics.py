"""Metrics from true and predicted labels. Arrays in, numbers out; more is better in all of them."""

import numpy as np
from jaxtyping import Float64, Int64
from numpy.typing import NDArray
from scipy.stats import rankdata

from api_schemas.tasks import ScoreMetric, TaskKind

COLLAPSED_SPREAD = 0.01
"""Predicted values whose standard deviation is below this share of the labels' are one value."""

Metrics = dict[ScoreMetric, float]


def metrics_of(labels: np.ndarray, predicted: np.ndarray, *, kind: TaskKind, classes: int) -> Metrics:
    """Compute the metrics of a kind of task."""
    if kind is TaskKind.CLASSIFICATION:
        return classification_metrics(labels, predicted, classes=classes)
    if kind is TaskKind.MULTI_LABEL:
        return multi_label_metrics(labels, predicted)
    return regression_metrics(labels, predicted)


def classification_metrics(
    labels: Int64[np.ndarray, " n"], predicted: Int64[np.ndarray, " n"], *, classes: int
) -> Metrics:
    """Accuracy, macro-F1 and Matthews' correlation of predicted classes."""
    confusion = np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)
    right = confusion.diagonal()
    return {
        ScoreMetric.ACCURACY: float(right.sum() / confusion.sum()),
        ScoreMetric.MACRO_F1: _macro_f1(right, confusion.sum(axis=1), confusion.sum(axis=0)),
        ScoreMetric.MATTHEWS: _matthews(confusion.astype(np.float64)),
    }


def multi_label_metrics(
    labels: NDArray[np.bool_],  # n x c
    predicted: NDArray[np.bool_],  # n x c
) -> Metrics:
    """Share of rows with exactly the right set of labels, and macro-F1 over the labels."""
    right = (labels & predicted).sum(axis=0)
    return {
        ScoreMetric.ACCURACY: float((labels == predicted).all(axis=1).mean()),
        ScoreMetric.MACRO_F1: _macro_f1(right, labels.sum(axis=0), predicted.sum(axis=0)),
    }


def regression_metrics(labels: Float64[np.ndarray, " n"], predicted: Float64[np.ndarray, " n"]) -> Metrics:
    """Spearman's and Pearson's correlation; neither changes when the values are scaled or shifted."""
    return {
        ScoreMetric.SPEARMAN: _correlation(rankdata(labels), rankdata(predicted)),
        ScoreMetric.PEARSON: _correlation(labels, predicted),
    }


def is_collapsed(labels: NDArray[np.float64], predicted: NDArray[np.generic], *, kind: TaskKind) -> bool:
    """Return whether every text gets the same answer: a class, a set of labels, or nearly the same value."""
    if kind is TaskKind.REGRESSION:
        return bool(predicted.std() < COLLAPSED_SPREAD * labels.std())
    return bool((predicted == predicted[0]).all())


def _macro_f1(right: NDArray[np.int64], true: NDArray[np.int64], predicted: NDArray[np.int64]) -> float:
    # F1 = 2 TP / (2 TP + FP + FN). A label that no row has is left out; where it is predicted, the labels
    # of those rows count a false negative.
    present = true > 0
    if not present.any():
        return 0.0
    return float((2 * right[present] / (true + predicted)[present]).mean())


def _matthews(confusion: Float64[np.ndarray, "c c"]) -> float:
    # Gorodkin (2004), equation 8: the correlation of two one-hot matrices; 0 where one is constant.
    total, true, predicted = confusion.sum(), confusion.sum(axis=1), confusion.sum(axis=0)
    covariance = confusion.trace() * total - true @ predicted
    spread = (total**2 - true @ true) * (total**2 - predicted @ predicted)
    return float(covariance / np.sqrt(spread)) if spread > 0 else 0.0


def _correlation(first: Float64[np.ndarray, " n"], second: Float64[np.ndarray, " n"]) -> float:
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0  # equal values have no order
    x, y = first - first.mean(), second - second.mean()
    x, y = x / np.abs(x).max(), y / np.abs(y).max()  # against overflow and underflow of the squares
    return float(np.clip(x @ y / np.sqrt((x @ x) * (y @ y)), -1.0, 1.0))
