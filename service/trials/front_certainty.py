"""How sure it is that a trial stands on the front, given that measured metrics are noisy. Pure NumPy.

What was measured is taken as the mean of the truth, with a normal error of the given size, independent
from trial to trial: most of the error of their validation texts is common to all, and is no part of it.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from api_schemas.objectives import Objective
from service.trials.pareto_front import costs_of_columns

Columns = Mapping[str, NDArray[np.float64]]
"""For each metric, its value at each trial."""

DRAWS = 512
CHUNK = 256
FAR = 6.0
"""A rival this many standard errors behind in any objective cannot dominate: a chance below 1e-9."""


def binomial_errors(shares: NDArray[np.float64], rows: int) -> NDArray[np.float64]:
    """Return the standard error of each share of `rows` texts labelled right.

    One right and one wrong text are added: at the ends it is not 0.
    """
    drawn = (shares * rows + 1.0) / (rows + 2.0)
    errors: NDArray[np.float64] = np.sqrt(drawn * (1.0 - drawn) / rows)
    return errors


def cost_errors(
    objectives: Sequence[Objective],
    values: Columns,
    standard_errors: Columns,
) -> NDArray[np.float64]:
    """Put standard errors on the scale of `costs`, to first order where that is log10."""
    columns = [
        _scaled_errors(objective, values[objective.metric], standard_errors[objective.metric])
        for objective in objectives
    ]
    return np.stack(columns, axis=1)


def _scaled_errors(
    objective: Objective, values: NDArray[np.float64], errors: NDArray[np.float64]
) -> NDArray[np.float64]:
    if not objective.is_log:
        return errors
    counted = np.maximum(values, 1.0) if objective.is_count else values
    scaled: NDArray[np.float64] = errors / (counted * math.log(10))
    return scaled


def front_probability(
    objectives: Sequence[Objective],
    values: Columns,
    standard_errors: Columns,
    *,
    position: int,
) -> float:
    """Return the chance that no other trial truly dominates the one at `position`, which is on the front.

    Draws the truth of the one (a Latin hypercube with a fixed seed); given that, each rival dominates by a
    product of tails, and rivals are independent.
    """
    Z, errors = costs_of_columns(objectives, values), cost_errors(objectives, values, standard_errors)
    own, own_errors = Z[position], errors[position]
    joint = np.hypot(errors, own_errors)
    rivals = (Z - own <= FAR * joint).all(axis=1) & (joint > 0).any(axis=1)
    rivals[position] = False
    # Where nothing is noisy, the rivals that are left are no worse.
    noisy = (joint > 0).any(axis=0)
    Z, errors = Z[rivals][:, noisy], errors[rivals][:, noisy]
    truths = own[noisy] + own_errors[noisy] * _standard_normals(int(noisy.sum()))
    undominated = np.ones(DRAWS)
    for start in range(0, len(Z), CHUNK):
        part = slice(start, start + CHUNK)
        undominated *= (1.0 - _chance_below(truths, Z[part], errors[part]).prod(axis=2)).prod(axis=1)
    return float(undominated.mean())


def _chance_below(
    truths: NDArray[np.float64], Z: NDArray[np.float64], errors: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return draws x rivals x objectives: the chance that a rival's true cost is no more."""
    lead = truths[:, None, :] - Z[None, :, :]
    exact = np.broadcast_to(errors == 0, lead.shape)
    tails: NDArray[np.float64] = ndtr(lead / np.where(errors == 0, 1.0, errors))
    return np.where(exact, lead >= 0, tails) if exact.any() else tails


def _standard_normals(dimensions: int) -> NDArray[np.float64]:
    rng = np.random.default_rng(0)
    strata = rng.permuted(np.tile(np.arange(DRAWS)[:, None], (1, dimensions)), axis=0)
    return np.asarray(ndtri((strata + rng.random((DRAWS, dimensions))) / DRAWS))
