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


def predict(features: Sequence[Sequence[float]], finals: Sequence[float], own: Sequence[float]) -> Prediction:
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
    """Return the mean squared leave-one-out error in predicted standard deviations: about 1 if calibrated."""
    squares = []
    for left_out in range(len(finals)):
        rest = [position for position in range(len(finals)) if position != left_out]
        prediction = predict([features[i] for i in rest], [finals[i] for i in rest], features[left_out])
        squares.append(((finals[left_out] - prediction.location) / prediction.standard_deviation) ** 2)
    return float(np.mean(squares))


def _design(standardised: NDArray[np.float64]) -> NDArray[np.float64]:
    ones = np.ones((*standardised.shape[:-1], 1))
    return np.concatenate([ones, standardised], axis=-1)


def _spread(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    # A constant column carries no information; dividing by one keeps it at zero.
    deviations: NDArray[np.float64] = columns.std(axis=0)
    return np.where(deviations > 1e-12, deviations, 1.0)
