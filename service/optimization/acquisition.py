"""The value of a candidate, given observations and pending trials. All values are logarithms.

One objective: log expected improvement (Ament and others 2023, arXiv 2310.20708). Two to four: log
expected hypervolume improvement in closed form. More: a random scalarisation by Monte Carlo
(qLogNParEGO). Each is multiplied by the probability that the trial is feasible. Observed outcomes
enter as their posterior means, so that noise alone puts no trial on the front.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from botorch.acquisition.multi_objective.objective import IdentityMCMultiOutputObjective
from botorch.acquisition.multi_objective.parego import qLogNParEGO
from botorch.sampling import ListSampler, SobolQMCNormalSampler
from botorch.sampling.index_sampler import IndexSampler
from botorch.utils.multi_objective.box_decompositions.non_dominated import FastNondominatedPartitioning
from botorch.utils.multi_objective.pareto import is_non_dominated
from jaxtyping import Bool, Float64
from torch import Tensor

from service.optimization.gaussian_process import Process
from service.optimization.outcomes import Limit
from service.optimization.representatives import far_apart
from service.optimization.surrogate import Surrogate, as_botorch

SAMPLES = 64
CHUNK = 1024
"""Candidates scored at a time: bounds memory, changes no value."""

HYPERVOLUME_OBJECTIVES = 4
"""With more, partitioning the region into boxes takes longer than a suggestion may."""

CELL_POINTS = {2: 2000, 3: 150, 4: 50}
"""Points of the front that are partitioned, by the number of objectives; of more, points far apart."""

LEAST = -1e4
"""The logarithm of nothing to gain: finite, so that gradients stay numbers."""

INDISTINCT = 0.25
"""Of the noise's deviation: rows whose outcomes differ by less are one row as far as a training can tell."""

Acquisition = Callable[[Float64[Tensor, "n dk"]], Float64[Tensor, " n"]]


@dataclass(frozen=True)
class PendingPosterior:
    """A surrogate that is conditioned on the pending trials, as if each had been observed at its mean."""

    fitted: Surrogate
    """The surrogate before that."""
    surrogate: Surrogate
    X: Float64[Tensor, "nq dk"]
    """The n observed rows, then the q pending ones."""
    observed: int
    means: Float64[Tensor, "nq m"]
    feasible: Bool[Tensor, " nq"]
    """Which rows keep every limit: as they were observed, and pending ones at their mean."""


def acquisition_function(
    posterior: PendingPosterior,
    reference: Float64[Tensor, " objectives"],
    *,
    limits: Sequence[Limit],
    feasibility: Process | None,
    seed: int,
    shared_luck: bool = False,
) -> tuple[Acquisition, str]:
    """Return the acquisition function of rows, and its name.

    With `shared_luck` trials train with one seed: what hardly differs from a tried row is worth nothing.
    The seed draws the weights of a scalarisation: a new one for each suggestion, to cover the front.
    """
    surrogate, count = posterior.surrogate, len(reference)
    works = [] if feasibility is None else [log_feasible(feasibility, surrogate.features)]
    chances = [
        *(_log_within(surrogate, limit) for limit in limits if not surrogate.outcomes[limit.column].exact),
        *works,
    ]
    value, name = _gain(posterior, reference, chances, seed=seed)
    return _product(value, [_differs(posterior, objectives=count)] if shared_luck else []), name


def _gain(
    posterior: PendingPosterior,
    reference: Float64[Tensor, " objectives"],
    chances: Sequence[Acquisition],
    *,
    seed: int,
) -> tuple[Acquisition, str]:
    count = len(reference)
    if count > HYPERVOLUME_OBJECTIVES:
        return _product(_scalarised(posterior, objectives=count, seed=seed), chances), "qlognparego"
    if count == 1:
        return _product(_expected_improvement(posterior, bounded=bool(chances)), chances), "logei"
    return _product(_hypervolume_improvement(posterior, reference), chances), "logehvi"


def log_h(z: Float64[Tensor, "*n"]) -> Float64[Tensor, "*n"]:
    """Return log(phi(z) + z Phi(z)) without cancellation (Ament and others 2023, equation 9)."""
    near = z.clamp_min(-1.0)
    phi = torch.exp(-0.5 * near**2) / math.sqrt(2 * math.pi)
    upper = torch.log(phi + near * torch.special.ndtr(near))
    far = z.clamp_max(-1.0)
    # phi(z) + z Phi(z) = phi(z) (1 - |z| sqrt(pi/2) erfcx(|z| / sqrt 2)), and beyond 1e3 about phi(z) / z^2.
    ratio = math.sqrt(math.pi / 2) * torch.special.erfcx(-far / math.sqrt(2)) * -far
    density = -0.5 * far**2 - 0.5 * math.log(2 * math.pi)
    close = density + torch.log1p(-ratio.clamp_max(1 - 1e-12))
    distant = density - 2 * torch.log(-far)
    return torch.where(z > -1.0, upper, torch.where(z > -1e3, close, distant))


def log_probability(z: Float64[Tensor, "*n"]) -> Float64[Tensor, "*n"]:
    """Return the logarithm of the standard normal distribution function."""
    logarithm: Tensor = torch.special.log_ndtr(z)
    return logarithm


def log_expected_improvement(
    mean: Float64[Tensor, "n 1"], deviation: Float64[Tensor, "n 1"], level: Float64[Tensor, " levels"]
) -> Float64[Tensor, "n levels"]:
    """Return log E[max(0, z - level)] for z ~ N(mean, deviation^2)."""
    return torch.log(deviation) + log_h((mean - level) / deviation)


def cells(
    front: Float64[Tensor, "n m"], reference: Float64[Tensor, " m"]
) -> tuple[Float64[Tensor, "cells m"], Float64[Tensor, "cells m"]]:
    """Return the lower and upper corners of boxes that partition the region not dominated by the front."""
    inside = front[(front > reference).all(dim=1)]
    limit = CELL_POINTS[len(reference)]
    if len(inside) > limit:
        inside = inside[is_non_dominated(inside)]
        inside = inside[far_apart(inside, count=limit)]
    partition = FastNondominatedPartitioning(ref_point=reference, Y=inside)
    lower, upper = partition.get_hypercell_bounds()
    return lower, upper


def _hypervolume_improvement(
    posterior: PendingPosterior, reference: Float64[Tensor, " objectives"]
) -> Acquisition:
    """Outcomes are independent, so a box with corners l and u gains prod_j E[(min(z_j, u_j) - l_j)+].

    For a measured outcome that is EI(l_j) - EI(u_j), for an exact one the length itself; the
    improvement is the sum over the boxes.
    """
    surrogate, count = posterior.surrogate, len(reference)
    lower, upper = cells(posterior.means[posterior.feasible, :count], reference)
    sides = [
        torch.unique(torch.stack([lower[:, j], upper[:, j]]), dim=1, return_inverse=True)
        for j in range(count)
    ]

    def value(X: Float64[Tensor, "n dk"]) -> Float64[Tensor, " n"]:
        total = torch.zeros(len(X), len(lower), dtype=torch.double)
        for j, (ends, box) in enumerate(sides):
            low, high = ends
            if surrogate.outcomes[j].exact:
                z = X[:, _exact_column(surrogate, j)].unsqueeze(1)
                length = torch.minimum(z, high) - low
                logs = torch.where(length > 0, torch.log(length.clamp_min(1e-300)), LEAST)
            else:
                mean, variance = surrogate.process(j).posterior(X[:, : surrogate.features])
                logs = _log_side(mean.unsqueeze(1), variance.sqrt().unsqueeze(1), low, high)
            total = total + logs[:, box]
        return torch.logsumexp(total, dim=1)

    return lambda X: torch.cat([value(part) for part in torch.split(X, CHUNK)])


def _log_side(
    mean: Float64[Tensor, "n 1"],
    deviation: Float64[Tensor, "n 1"],
    low: Float64[Tensor, " sides"],
    high: Float64[Tensor, " sides"],
) -> Float64[Tensor, "n sides"]:
    """Return log(EI(low) - EI(high)), from the logarithm of each."""
    gain = log_expected_improvement(mean, deviation, low)
    closed = torch.isfinite(high)
    beyond = log_expected_improvement(mean, deviation, torch.where(closed, high, low + 1.0)) - gain
    beyond = torch.where(closed, beyond, -math.inf).clamp_max(-1e-12)
    return (gain + torch.log(-torch.expm1(beyond.clamp_min(-700.0)))).clamp_min(LEAST)


def _expected_improvement(posterior: PendingPosterior, *, bounded: bool) -> Acquisition:
    """Return log EI over the best feasible outcome; `bounded`: times the chance to keep a limit."""
    surrogate = posterior.surrogate
    feasible = posterior.means[posterior.feasible, 0]
    if len(feasible) == 0 and bounded:
        # Nothing feasible yet: any feasible point is an improvement.
        return lambda X: 0.0 * X.sum(dim=1)
    # Only limits on exact metrics are broken, and no candidate breaks those: improve on the best beyond them.
    best = (feasible if len(feasible) else posterior.means[:, 0]).max()
    if surrogate.outcomes[0].exact:
        column = _exact_column(surrogate, 0)
        return lambda X: torch.log((X[:, column] - best).clamp_min(math.exp(-700.0)))
    process = surrogate.process(0)

    def value(X: Float64[Tensor, "n dk"]) -> Float64[Tensor, " n"]:
        mean, variance = process.posterior(X[:, : surrogate.features])
        return log_expected_improvement(
            mean.unsqueeze(1), variance.sqrt().unsqueeze(1), best.unsqueeze(0)
        ).squeeze(1)

    return value


def _scalarised(posterior: PendingPosterior, *, objectives: int, seed: int) -> Acquisition:
    feasible, observed = posterior.feasible, posterior.observed
    # Where nothing is feasible yet, a gain on all that was observed is weighed by the chance to be.
    kept = feasible if feasible[:observed].any() else torch.ones_like(feasible)
    baseline, pending = posterior.X[:observed][kept[:observed]], posterior.X[observed:][kept[observed:]]
    samples = torch.Size([SAMPLES])
    sampler = ListSampler(
        *(
            IndexSampler(samples, seed=seed)
            if outcome.exact
            else SobolQMCNormalSampler(samples, seed=seed + column)
            for column, outcome in enumerate(posterior.surrogate.outcomes)
        )
    )
    function = qLogNParEGO(
        as_botorch(posterior.fitted),
        X_baseline=baseline,
        X_pending=pending if len(pending) else None,
        sampler=sampler,
        scalarization_weights=torch.from_numpy(np.random.default_rng(seed).dirichlet(np.ones(objectives))),
        objective=IdentityMCMultiOutputObjective(outcomes=list(range(objectives))),
        prune_baseline=True,
        cache_root=False,
    )
    return lambda X: torch.cat([function(part.unsqueeze(1)) for part in torch.split(X, CHUNK // 4)])


def _log_within(surrogate: Surrogate, limit: Limit) -> Acquisition:
    process, features = surrogate.process(limit.column), surrogate.features

    def chance(X: Float64[Tensor, "n dk"]) -> Float64[Tensor, " n"]:
        mean, variance = process.posterior(X[:, :features])
        return log_probability(-(limit.sign * mean + limit.offset) / variance.sqrt())

    return chance


def log_feasible(feasibility: Process, features: int) -> Acquisition:
    """Return the logarithm of the probability that a trial runs at all, from the first `features` columns."""

    def chance(X: Float64[Tensor, "n dk"]) -> Float64[Tensor, " n"]:
        mean, variance = feasibility.posterior(X[:, :features])
        return log_probability(mean / variance.sqrt())

    return chance


def _differs(posterior: PendingPosterior, *, objectives: int) -> Acquisition:
    """Return 0 for a row that may tell something new, and the logarithm of nothing for the others.

    Those cost exactly what a tried row costs, and their measured objectives differ from its by less than a
    part of the noise: with the same seed they have the same luck, and say nothing of either.
    """
    surrogate, features = posterior.surrogate, posterior.surrogate.features
    tried = posterior.X
    processes = [
        surrogate.process(column) for column in range(objectives) if not surrogate.outcomes[column].exact
    ]

    @torch.no_grad()
    def value(X: Float64[Tensor, "n dk"]) -> Float64[Tensor, " n"]:
        # Few candidates cost what a tried row costs; only those are compared with it.
        alike = (X[:, None, features:] == tried[None, :, features:]).all(dim=2)
        rows = alike.any(dim=1).nonzero().flatten()
        near = alike[rows]
        for process in processes:
            difference = process.prior_difference(X[rows, :features], tried[:, :features])
            near &= difference < INDISTINCT * math.sqrt(process.noise_variance)
        found = torch.zeros(len(X), dtype=torch.double)
        found[rows[near.any(dim=1)]] = LEAST
        return found

    return lambda X: torch.cat([value(part) for part in torch.split(X, CHUNK)])


def _exact_column(surrogate: Surrogate, objective: int) -> int:
    before = sum(outcome.exact for outcome in surrogate.outcomes[:objective])
    return surrogate.features + before


def _product(value: Acquisition, chances: Sequence[Acquisition]) -> Acquisition:
    def product(X: Float64[Tensor, "n dk"]) -> Float64[Tensor, " n"]:
        total = value(X)
        for chance in chances:
            total = total + chance(X)
        return total

    return product
