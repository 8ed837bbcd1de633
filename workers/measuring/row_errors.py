"""How far a score may be off because it is measured on these rows and not on others. Knows no network."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 50
"""The error of the error is then about a tenth."""


def share_error(right: int, rows: int) -> float:
    """Return the standard error of a share of rows, which is not 0 where all are right, or none.

    One right and one wrong row are added (Laplace's rule of succession).
    """
    share = (right + 1) / (rows + 2)
    return math.sqrt(share * (1 - share) / rows)


def resampled_error(score: Callable[[NDArray[np.intp]], float], rows: int) -> float:
    """Return the bootstrap standard error of a score that is computed from some of the rows.

    Rows are drawn with replacement (Efron 1979) from a fixed seed: the same answers have the same error.
    """
    draws = np.random.default_rng(0).integers(rows, size=(RESAMPLES, rows))
    return float(np.std([score(drawn) for drawn in draws], ddof=1))
