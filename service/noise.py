"""How far a noisy metric may be off at each trial: its seeds, and the rows that it is measured on.

The variance of the mean of n seeds is v / n + w. v is the variance from seed to seed, pooled over the trials
with several and drawn towards each one's own; before there are any, it is expected to be what recorded
trials had. w is what other rows would change about this trial and not about others: most of the error of a
score over its rows is common to all trials of a study, and changes no comparison. Arrays in, numbers out.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SEED_DEVIATION = 0.0065
SEED_SHARE = 0.3
"""The expected variance from seed to seed is SEED_DEVIATION**2 + SEED_SHARE * e**2, e the rows' error."""

ROW_SHARE = 0.1
"""The share of the rows' variance e**2 that is a trial's own. These three: docs/decisions, 73."""

EXPECTED_DEGREES = 4.0
"""What the expectation counts for, in degrees of freedom: as much as two trials with three seeds each."""

OWN_DEGREES = 2.0
"""What the pooled variance counts for beside a trial's own."""

LEAST_DEGREES = 4.0
"""Fewer degrees of freedom say too little, where there is no expectation."""

MOST_OF_ONE = 8.0
"""A variance counts for at most so many expected ones in the pool: a run that collapsed is no noise."""

Column = NDArray[np.float64]


class Noise(NamedTuple):
    """The variances of each trial's noise."""

    from_seed_to_seed: Column
    of_its_rows: Column
    of_mean: Column
    """Of the mean over the trial's seeds: the noise of what was measured."""


def noise_of(*, seeds: Column, errors: Column, row_errors: Column) -> Noise | None:
    """Return the noise of n trials; None if nothing is known of it.

    `errors` are the standard errors over the seeds, not a number where there is one seed; `row_errors` those
    over the rows, not a number where unknown: those trials get the average.
    """
    several, known_rows = ~np.isnan(errors), ~np.isnan(row_errors)
    degrees = np.where(several, np.maximum(seeds - 1.0, 1.0), 0.0)
    if known_rows.any():
        rows = np.where(known_rows, row_errors, row_errors[known_rows].mean()) ** 2
        expected, prior, most = SEED_DEVIATION**2 + SEED_SHARE * rows, EXPECTED_DEGREES, MOST_OF_ONE
    elif several.any() and (several.all() or degrees.sum() >= LEAST_DEGREES):
        rows, expected, prior, most = np.zeros_like(errors), np.ones_like(errors), 0.0, np.inf
    else:
        return None
    own = np.where(several, errors, 0.0) ** 2 * seeds / expected
    pooled = (prior + degrees @ np.minimum(own, most)) / (prior + degrees.sum())
    seed = expected * (OWN_DEGREES * pooled + degrees * own) / (OWN_DEGREES + degrees)
    return Noise(seed, ROW_SHARE * rows, seed / seeds + ROW_SHARE * rows)
