"""How far down an outcome still tells something. Outcomes are maximised; knows neither metrics nor models.

A collapsed training run says "bad"; how bad teaches nothing. It would stretch every lengthscale, and
push an inferred reference point so far out that the other objectives count for nothing.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MODELLED_SPREADS = 3.0
"""So many spreads below the median begins what a model need not tell apart."""

COUNTED_SPREADS = 10.0
"""So many below it lies what cannot be meant to count: a reference decides for good, so it is lenient."""


class Tail(NamedTuple):
    """Where the lower tail begins, and the spread that it is measured by; -inf and 0 of equal outcomes."""

    start: float
    spread: float


def lower_tail(y: NDArray[np.float64], *, spreads: float) -> Tail:
    """Find the tail that begins so many spreads below the median of n >= 1 outcomes.

    The spread is the distance from the median to the best, or the interquartile range if that is larger.
    """
    low, middle, high = np.quantile(y, (0.25, 0.5, 0.75)).tolist()
    spread = max(float(y.max()) - middle, high - low)
    return Tail(middle - spreads * spread, spread) if spread > 0 else Tail(-np.inf, 0.0)
