"""Where outcomes are clipped from below, and where their reference lies. Outcomes are maximised.

Knows neither metrics nor models.

How bad a collapsed training run is carries no information. It would stretch every lengthscale, and push an
inferred reference point so far out that the other objectives would count for nothing.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MODELLED_SPREADS = 3.0
"""Spreads below the median under which a model treats outcomes as equal."""

COUNTED_SPREADS = 10.0
"""Spreads below the median under which a reference point ignores outcomes, which then add nothing at all."""

REFERENCE_MARGIN = 0.1
"""How far below the worst outcome an inferred reference lies, as a share of the observed range."""


class Tail(NamedTuple):
    """Where the lower tail begins, and the spread; -inf and 0 if all outcomes are equal."""

    start: float
    spread: float


def lower_tail(y: NDArray[np.float64], *, spreads: float) -> Tail:
    """Return the tail that begins `spreads` spreads below the median of n >= 1 outcomes.

    The spread is the distance from the median to the best, or the interquartile range if that is larger.
    """
    low, middle, high = np.quantile(y, (0.25, 0.5, 0.75)).tolist()
    spread = max(float(y.max()) - middle, high - low)
    return Tail(middle - spreads * spread, spread) if spread > 0 else Tail(-np.inf, 0.0)


def reference_below(y: NDArray[np.float64]) -> float:
    """Return the reference that n >= 1 outcomes imply, on the scale on which they are modelled.

    It lies a tenth of their range below the worst. An outcome in the lower tail counts as if it were where
    the tail begins. Equal outcomes have no range; their size stands for it, and 1 if they are 0.
    """
    worst, best = max(float(y.min()), lower_tail(y, spreads=COUNTED_SPREADS).start), float(y.max())
    return worst - REFERENCE_MARGIN * ((best - worst) or abs(worst) or 1.0)
