"""Tests of paired differences. All two-sided."""

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

MOST_SIGNS = 24
"""Of more differences, the sign patterns no longer fit into memory."""


def paired_t(differences: Sequence[float]) -> float:
    """Return Student's p for a mean of zero; equal differences leave no doubt."""
    if np.ptp(differences) == 0.0:
        return 1.0 if differences[0] == 0.0 else 0.0
    return float(stats.ttest_1samp(differences, 0.0).pvalue)


def sign_flip(differences: Sequence[float]) -> float:
    """Return the share of all 2^n sign patterns whose sum is at least as far from zero (Fisher 1935).

    Raises:
        ValueError: If there are more than `MOST_SIGNS` differences.
    """
    if len(differences) > MOST_SIGNS:
        raise ValueError(f"{len(differences)} differences have too many sign patterns to list")
    sums = np.zeros(1)
    for difference in differences:
        sums = np.concatenate([sums + difference, sums - difference])
    # Sums that are equal on paper differ in their last digits.
    return float(np.mean(np.abs(sums) >= abs(math.fsum(differences)) - 1e-9))


def wilcoxon(differences: Sequence[float]) -> float:
    """Return the p of Wilcoxon's signed-rank test; differences of zero are left out (Wilcoxon 1945)."""
    if not np.any(differences):
        return 1.0
    return float(stats.wilcoxon(differences).pvalue)


def holm(values: Sequence[float]) -> list[float]:
    """Correct p values of several tests (Holm 1979), in their order."""
    corrected = [0.0] * len(values)
    highest = 0.0
    for rank, place in enumerate(np.argsort(values, kind="stable")):
        highest = max(highest, min(1.0, (len(values) - rank) * values[place]))
        corrected[place] = highest
    return corrected
