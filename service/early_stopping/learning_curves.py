"""Predict where a learning curve ends, from the curves of the study's finished trials.

Bayesian linear regression of the final score on features of the curve so far, with a conjugate
normal-inverse-gamma prior (Bishop 2006, section 3.3; Murphy 2012, section 7.6): the prediction is a
Student t in closed form. Which trials finished depends only on the curves that the regression reads, so
leaving out the stopped ones does not bias it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

PRIOR_SHAPE = 1.0
PRIOR_SCALE = 0.1
"""Of the residual variance, in units of the variance of the final scores."""

CANCELLED = 0.25
"""What is left of a sum of squares may be computed by subtraction down to this share of it."""


@dataclass(frozen=True)
class Prediction:
    """A Student t distribution of the final score."""

    location: float
    scale: float
    degrees: float

    @property
    def standard_deviation(self) -> float:
        """Return the deviation; infinite up to two degrees of freedom."""
        if self.degrees <= 2:
            return float("inf")
        return self.scale * float(np.sqrt(self.degrees / (self.degrees - 2)))

    def chance_above(self, threshold: float) -> float:
        """Return the probability of a value above the threshold."""
        return float(stdtr(self.degrees, (self.location - threshold) / self.scale))


def predict(
    features: Sequence[Sequence[float]] | NDArray[np.float64],
    finals: Sequence[float] | NDArray[np.float64],
    own: Sequence[float] | NDArray[np.float64],
) -> Prediction:
    """Return the distribution of one final score, given finished trials.

    Args:
        features: n rows of d numbers, the features of each finished curve at this point.
        finals: n final scores.
        own: the d features of the running trial.
    """
    X = np.asarray(features, dtype=np.float64)
    y = np.asarray(finals, dtype=np.float64)
    center, spread = X.mean(axis=0), _spread(X)
    Z, z = _design((X - center) / spread), _design((np.asarray(own) - center) / spread)
    y_center, y_spread = float(y.mean()), float(_spread(y[:, None])[0])
    target = (y - y_center) / y_spread
    precision = np.eye(Z.shape[1]) + Z.T @ Z
    weights = np.linalg.solve(precision, Z.T @ target)
    shape = PRIOR_SHAPE + len(y) / 2
    rate = PRIOR_SCALE + 0.5 * float(target @ target - weights @ precision @ weights)
    widening = 1.0 + float(z @ np.linalg.solve(precision, z))
    return Prediction(
        location=y_center + y_spread * float(z @ weights),
        scale=y_spread * float(np.sqrt(rate / shape * widening)),
        degrees=2 * shape,
    )


def calibration(features: Sequence[Sequence[float]], finals: Sequence[float]) -> float:
    """Return the mean squared leave-one-out error in predicted standard deviations: about 1 if calibrated.

    Of n trials each is predicted from the others, in closed form: leaving one out changes means and sums of
    squares by its own deviations, and the intercept of centred columns is zero.
    """
    X = np.asarray(features, dtype=np.float64)
    y = np.asarray(finals, dtype=np.float64)
    table = np.column_stack([X, y])
    deviations = table - table.mean(axis=0)
    n = len(table)
    regained = deviations * (n / (n - 1))
    """Of each trial from the mean of the others."""
    scatter = deviations.T @ deviations - regained[:, :, None] * deviations[:, None, :]
    left = np.diagonal(scatter, axis1=1, axis2=2)
    squares = _squared_errors(scatter, regained, spreads=_spread_of(np.maximum(left, 0) / (n - 1)))
    # Without the trial that holds most of a column's scatter, rounding alone may be left. A column has one.
    for out in np.flatnonzero((left < CANCELLED * (deviations**2).sum(axis=0)).any(axis=1)):
        rest = np.arange(n) != out
        prediction = predict(X[rest], y[rest], X[out])
        squares[out] = ((y[out] - prediction.location) / prediction.standard_deviation) ** 2
    return float(squares.mean())


def _squared_errors(
    scatter: NDArray[np.float64], own: NDArray[np.float64], *, spreads: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return each trial's squared error in predicted deviations, from the scatter of the n others."""
    n = len(own) - 1
    standard = scatter / (spreads[:, :, None] * spreads[:, None, :])
    own = own / spreads
    precision = np.eye(own.shape[1] - 1) + standard[:, :-1, :-1]
    slopes, z = standard[:, :-1, -1], own[:, :-1]
    solved = np.linalg.solve(precision, np.stack([slopes, z], axis=-1))
    weights, leverage = solved[..., 0], (z * solved[..., 1]).sum(axis=1)
    degrees = 2 * PRIOR_SHAPE + n
    rate = PRIOR_SCALE + 0.5 * (standard[:, -1, -1] - (slopes * weights).sum(axis=1))
    variance = 2 * rate * (1 + 1 / (1 + n) + leverage) / (degrees - 2)
    squares: NDArray[np.float64] = (own[:, -1] - (z * weights).sum(axis=1)) ** 2 / variance
    return squares


def _design(standardised: NDArray[np.float64]) -> NDArray[np.float64]:
    ones = np.ones((*standardised.shape[:-1], 1))
    return np.concatenate([ones, standardised], axis=-1)


def _spread(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    return _spread_of(columns.var(axis=0))


def _spread_of(variances: NDArray[np.float64]) -> NDArray[np.float64]:
    # A constant column carries no information; dividing by one keeps it at zero.
    deviations = np.sqrt(variances)
    return np.where(deviations > 1e-12, deviations, 1.0)
