"""Which trials the models believe to be on the front: posterior means, deviations, and joint draws.

A front of noisy measurements favours the luckiest ones. The posterior of a trial's objectives draws on
every other trial, and its own measurement is one of many. Trials that broke a limit stay out, as measured;
exact objectives stay as they are. Of very many trials only those that are modelled take part.
"""

import math
import time
from collections.abc import Hashable, Mapping, Sequence, Set

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from service.optimization.encoded_problem import EncodedProblem
from service.optimization.initial_design import design_size
from service.optimization.numerics import FIT_FAILURES
from service.optimization.outcomes import Outcome, in_unit, keeps_limits
from service.optimization.problem import Beliefs, Compared, Observation, Problem
from service.optimization.surrogate import Surrogate, fit_surrogate, without_lower_tail

DRAWS = 512
"""Joint draws: the standard error of a chance is at most 0.022."""

REACH = 4.0
"""Deviations either way: a trial that is dominated even so has no chance and takes no part in the draws."""

COMPARED_AT_A_TIME = 16_000_000
"""Numbers compared at a time (16 MB), whatever the number of trials and objectives."""

Means = Float64[Tensor, "n m"]
Covariances = Sequence[Float64[Tensor, "n n"] | None]
"""Of each objective over the trials; None where it is exact."""


def believe(
    problem: Problem,
    observations: Sequence[Observation],
    *,
    succeeded: Set[Hashable],
    compared_with: Compared | None,
    seed: int,
    time_limit_seconds: float = math.inf,
) -> Beliefs | None:
    """Return what is believed of the trials that succeeded, given by key; None before there is a model.

    A fit that reaches `time_limit_seconds` keeps the hyperparameters it has by then.
    """
    encoded = EncodedProblem(problem, observations, seed)
    rows = [row for row, observation in enumerate(encoded.measured) if observation.key in succeeded]
    if len(encoded.measured) < design_size(problem.grid) or not rows:
        return None
    try:
        surrogate = _fitted(encoded, time_limit_seconds=time_limit_seconds)
        means, covariances = posterior(encoded, surrogate, rows)
        probabilities, members = _standing(encoded, rows, means, covariances)
    except FIT_FAILURES:
        return None
    if not all(bool(torch.isfinite(one).all()) for one in (means, *covariances) if one is not None):
        return None
    keys = tuple(encoded.measured[row].key for row in rows)
    columns = [column for column, one in enumerate(covariances) if one is not None]
    outcomes = {column: encoded.outcomes[column] for column in columns}
    deviations = _deviations(means, covariances)
    compared = _column_of(compared_with, keys, outcomes)
    return Beliefs(
        keys=keys,
        means={one.metric: in_unit(one, means[:, column]) for column, one in outcomes.items()},
        deviations={
            one.metric: _spread_in_unit(one, means[:, column], deviations[:, column])
            for column, one in outcomes.items()
        },
        members=tuple(members),
        front_probabilities=probabilities.tolist(),
        difference_deviations=None
        if compared is None or compared_with is None
        else _differences(covariances[compared], keys.index(compared_with.key)),
        noise=None if compared is None else math.sqrt(surrogate.process(compared).noise_variance),
    )


@torch.no_grad()
def posterior(
    encoded: EncodedProblem, surrogate: Surrogate, rows: Sequence[int]
) -> tuple[Means, Covariances]:
    """Return mean and covariance of each objective over the trials at `rows`, on the optimiser's scale.

    What the model was not shown of an outcome in the lower tail is taken off its mean again.
    """
    X = encoded.X[rows][:, : encoded.features]
    means: list[Float64[Tensor, " n"]] = []
    covariances: list[Float64[Tensor, "n n"] | None] = []
    for column, outcome in enumerate(encoded.outcomes[: encoded.objectives]):
        y, process = encoded.Y[:, column], surrogate.processes[column]
        if process is None:
            means.append(y[rows])
            covariances.append(None)
            continue
        mean, covariance = process.joint_posterior(X)
        means.append(mean + (y - without_lower_tail(y, limits=outcome.limits))[rows])
        covariances.append(covariance)
    return torch.stack(means, dim=1), covariances


@torch.no_grad()
def front_probabilities(means: Means, covariances: Covariances, *, seed: int) -> Float64[Tensor, " n"]:
    """Return each trial's chance that no other truly dominates it, from joint draws of all of them.

    Objectives are maximised, and independent of one another.

    Raises:
        numpy.linalg.LinAlgError: If a covariance is not positive semidefinite.
    """
    deviations = _deviations(means, covariances)
    within = ~dominated(means + REACH * deviations, by=means - REACH * deviations)
    chances = torch.zeros(len(means), dtype=torch.double)
    if within.any():
        kept = [None if one is None else one[within][:, within] for one in covariances]
        draws = _draws(means[within], kept, seed=seed)
        chances[within] = (~torch.stack([dominated(draw, by=draw) for draw in draws])).double().mean(dim=0)
    return chances


def dominated(Z: Means, *, by: Means) -> Bool[Tensor, " n"]:
    """Return which rows some row of `by` dominates: as good in every objective, better in one."""
    size = max(1, COMPARED_AT_A_TIME // max(1, by.numel()))
    parts = []
    for start in range(0, len(Z), size):
        part = Z[start : start + size]
        better = (by[None] >= part[:, None]).all(dim=2) & (by[None] > part[:, None]).any(dim=2)
        parts.append(better.any(dim=1))
    return torch.cat(parts) if parts else torch.zeros(0, dtype=torch.bool)


def _fitted(encoded: EncodedProblem, *, time_limit_seconds: float) -> Surrogate:
    return fit_surrogate(
        encoded.X,
        encoded.Y,
        outcomes=encoded.outcomes,
        variances=encoded.variances,
        sources=encoded.sources,
        seed=encoded.seed,
        deadline=time.monotonic() + time_limit_seconds,
    )


def _standing(
    encoded: EncodedProblem, rows: Sequence[int], means: Means, covariances: Covariances
) -> tuple[Float64[Tensor, " n"], list[int]]:
    """Return each trial's chance of being on the front, and the positions of those that stand on it."""
    kept = torch.nonzero(keeps_limits(encoded.limits, encoded.Y[rows])).squeeze(1)
    probabilities = torch.zeros(len(rows), dtype=torch.double)
    inner = [None if one is None else one[kept][:, kept] for one in covariances]
    probabilities[kept] = front_probabilities(means[kept], inner, seed=encoded.seed)
    members = kept[~dominated(means[kept], by=means[kept])]
    return probabilities, [int(row) for row in members]


def _draws(means: Means, covariances: Covariances, *, seed: int) -> Float64[Tensor, "s n m"]:
    generator = torch.Generator().manual_seed(seed)
    columns = []
    for mean, covariance in zip(means.T, covariances, strict=True):
        if covariance is None:
            columns.append(mean.expand(DRAWS, -1))
            continue
        normals = torch.randn(DRAWS, len(mean), generator=generator, dtype=torch.double)
        columns.append(mean + normals @ _root(covariance).T)
    return torch.stack(columns, dim=2)


def _root(covariance: Float64[Tensor, "n n"]) -> Float64[Tensor, "n n"]:
    # Trials that the model hardly tells apart make it singular up to rounding.
    values, vectors = torch.linalg.eigh(covariance)
    root: Tensor = vectors * values.clamp_min(0.0).sqrt()
    return root


def _deviations(means: Means, covariances: Covariances) -> Means:
    zeros = torch.zeros(len(means), dtype=torch.double)
    return torch.stack(
        [zeros if one is None else one.diagonal().clamp_min(0.0).sqrt() for one in covariances], dim=1
    )


def _spread_in_unit(
    outcome: Outcome, means: Float64[Tensor, " n"], deviations: Float64[Tensor, " n"]
) -> list[float]:
    if not outcome.is_log:
        return [float(value) for value in deviations]
    return [float(value) for value in math.log(10) * 10.0 ** (outcome.sign * means) * deviations]


def _column_of(
    compared_with: Compared | None, keys: Sequence[Hashable], outcomes: Mapping[int, Outcome]
) -> int | None:
    if compared_with is None or compared_with.key not in keys:
        return None
    return next((column for column, one in outcomes.items() if one.metric == compared_with.metric), None)


def _differences(covariance: Float64[Tensor, "n n"] | None, row: int) -> list[float] | None:
    if covariance is None:
        return None
    squared = covariance.diagonal() + covariance[row, row] - 2.0 * covariance[row]
    return [float(value) for value in squared.clamp_min(0.0).sqrt()]
