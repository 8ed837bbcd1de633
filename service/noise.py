"""How far a noisy metric may be off at each trial: its seeds, and the rows that it is measured on.

The variance of the mean of n seeds is v / n + w. v is the variance from seed to seed, pooled over the trials
with several and drawn towards each one's own; before there are any, it is expected to be what recorded
trials had. w is what other rows would change about this trial and not about others: most of the error of a
score over its rows is common to all trials of a study, and changes no comparison. Arrays in, numbers out.
"""

import numpy as np
from numpy.typing import NDArray

SEED_DEVIATION = 0.0065
SEED_SHARE = 0.3
"""The expected variance from seed to seed is SEED_DEVIATION**2 + SEED_SHARE * e**2, e the error of the rows."""

ROW_SHARE = 0.1
"""The share of the rows' variance e**2 that is a trial's own. These three: docs/decisions, 73."""

EXPECTED_DEGREES = 4.0
"""What the expectation counts for, in degrees of freedom: as much as two trials with three seeds each."""

OWN_DEGREES = 2.0
"""What the pooled variance counts for beside a trial's own."""

LEAST_DEGREES = 4.0
"""Fewer degrees of freedom say too little, where there is no expectation."""

MOST_OF_ONE = 8.0
"""A trial's variance counts for at most so many expected ones in the pool: a run that collapsed is no noise."""

Column = NDArray[np.float64]


def noise_variances(*, seeds: Column, errors: Column, row_errors: Column) -> Column | None:
    """Return the noise variance of n trials' means over their seeds; None if nothing is known of it.

    `errors` are the standard errors over the seeds, not a number where there is one seed; `row_errors` those
    over the rows, not a number where unknown: those trials get the average.
    """
    with np.errstate(invalid="ignore"):
        own = errors**2 * seeds
    several = ~np.isnan(own)
    degrees = np.where(several, np.maximum(seeds - 1.0, 1.0), 0.0)
    known_rows = ~np.isnan(row_errors)
    if known_rows.any():
        rows = np.where(known_rows, row_errors, row_errors[known_rows].mean()) ** 2
        unit, prior = SEED_DEVIATION**2 + SEED_SHARE * rows, EXPECTED_DEGREES
    elif several.all() or degrees.sum() >= LEAST_DEGREES:
        rows, unit, prior = np.zeros_like(own), np.ones_like(own), 0.0
    else:
        return None
    ratios = np.where(several, np.nan_to_num(own) / unit, 0.0)
    counted = np.minimum(ratios, MOST_OF_ONE) if prior else ratios
    factor = (prior + degrees @ counted) / (prior + degrees.sum())
    drawn = (OWN_DEGREES * factor + degrees * ratios) / (OWN_DEGREES + degrees)
    variances: Column = unit * drawn / seeds + ROW_SHARE * rows
    return variances
