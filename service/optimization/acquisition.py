"""How much a candidate is worth, given observations and pending trials. Everything is a logarithm.

One objective: log expected improvement (Ament and others 2023, arXiv 2310.20708). Two to four: log
expected hypervolume improvement in closed form. More: a random scalarisation by Monte Carlo
(qLogNParEGO). Each is multiplied by the probability that the trial is feasible. Observed outcomes
enter as their posterior means, so noise does not make a lucky trial a member of the front.
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
from service.optimization.outcomes import Outcome, signed_bound
from service.optimization.problem import Problem
from service.optimization.surrogate import Surrogate, as_botorch

SAMPLES = 64
CHUNK = 1024
"""Candidates scored at a time: bounds memory, changes no value."""

HYPERVOLUME_OBJECTIVES = 4
"""With more, cutting the attained region into boxes takes longer than a proposal may."""

CELL_POINTS = {2: 2000, 3: 150, 4: 50}
"""How much of a front is cut into boxes, by the number of objectives; of more, points far apart."""

LEAST = -1e4
"""The logarithm of nothing to gain: finite, so that gradients stay numbers."""

Acquisition = Callable[[Float64[Tensor, "n dk"]], Float64[Tensor, " n"]]


@dataclass(frozen=True)
class PendingPosterior:
    """What a surrogate thinks once it takes the pending trials as observed at their mean."""

    fitted: Surrogate
    """Before it saw the pending trials."""
    surrogate: Surrogate
    X: Float64[Tensor, "n dk"]
    means: Float64[Tensor, "n m"]
    feasible: Bool[Tensor, " n"]
    seen: int
    """Rows before this one are observed, the others pending."""


def acquisition_function(
    believed: PendingPosterior,
    problem: Problem,
    *,
    reference: Float64[Tensor, " objectives"],
    feasibility: Process | None,
    seed: int,
) -> tuple[Acquisition, str]:
    """Build the acquisition function over augmented rows, and name it.

    The seed draws the weights of a scalarisation: another one for each suggestion, to cover the front.
    """
    count = len(problem.objectives)
    chance = _feasibility(believed.surrogate, problem, feasibility)
    if count == 1:
        return _product(_expected_improvement(believed, bounded=bool(chance)), chance), "logei"
    if count <= HYPERVOLUME_OBJECTIVES:
        return _product(_hypervolume_improvement(believed, reference), chance), "logehvi"
    only_infeasible = [] if feasibility is None else [log_feasible(feasibility, believed.surrogate.encoded)]
    return _product(_scalarised(believed, problem, seed=seed), only_infeasible), "qlognparego"


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
    found: Tensor = torch.special.log_ndtr(z)
    return found


def log_expected_improvement(
    mean: Float64[Tensor, "n 1"], deviation: Float64[Tensor, "n 1"], level: Float64[Tensor, " levels"]
) -> Float64[Tensor, "n levels"]:
    """Return log E[max(0, z - level)] for z ~ N(mean, deviation^2)."""
    return torch.log(deviation) + log_h((mean - level) / deviation)


def cells(
    front: Float64[Tensor, "n m"], reference: Float64[Tensor, " m"]
) -> tuple[Float64[Tensor, "cells m"], Float64[Tensor, "cells m"]]:
    """Cut the region that no member of the front attains into boxes: lower and upper corners."""
    inside = front[(front > reference).all(dim=1)]
    limit = CELL_POINTS[len(reference)]
    if len(inside) > limit:
        inside = inside[is_non_dominated(inside)]
        inside = inside[far_apart(inside, count=limit)]
    partition = FastNondominatedPartitioning(ref_point=reference, Y=inside)
    lower, upper = partition.get_hypercell_bounds()
    return lower, upper


def _hypervolume_improvement(
    believed: PendingPosterior, reference: Float64[Tensor, " objectives"]
) -> Acquisition:
    """Outcomes are independent, so a box with corners l and u gains prod_j E[(min(z_j, u_j) - l_j)+].

    For a measured outcome that is EI(l_j) - EI(u_j), for a known one the length itself; the
    improvement is the sum over the boxes.
    """
    surrogate, count = believed.surrogate, len(reference)
    lower, upper = cells(believed.means[believed.feasible, :count], reference)
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
                mean, variance = surrogate.process(j).posterior(X[:, : surrogate.encoded])
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


def far_apart(points: Float64[Tensor, "n m"], *, count: int) -> list[int]:
    """Choose points one by one, each as far as possible from those before; the extremes come first."""
    scaled = (points - points.min(dim=0).values) / (
        points.max(dim=0).values - points.min(dim=0).values
    ).clamp_min(1e-12)
    chosen = list(dict.fromkeys(scaled.argmax(dim=0).tolist()))
    nearest = torch.cdist(scaled, scaled[chosen]).min(dim=1).values
    while len(chosen) < count:
        chosen.append(int(nearest.argmax()))
        nearest = torch.minimum(nearest, torch.cdist(scaled, scaled[chosen[-1:]])[:, 0])
    return chosen


def _expected_improvement(believed: PendingPosterior, *, bounded: bool) -> Acquisition:
    """Return log EI over the best feasible outcome; `bounded`: times the chance to keep a limit."""
    surrogate = believed.surrogate
    feasible = believed.means[believed.feasible, 0]
    if len(feasible) == 0 and bounded:
        # Nothing feasible yet: any feasible point is an improvement.
        return lambda X: 0.0 * X.sum(dim=1)
    # Known limits alone are broken, and no candidate breaks those: the best beyond them is to be come near.
    best = (feasible if len(feasible) else believed.means[:, 0]).max()
    if surrogate.outcomes[0].exact:
        column = _exact_column(surrogate, 0)
        return lambda X: torch.log((X[:, column] - best).clamp_min(math.exp(-700.0)))
    process = surrogate.process(0)

    def value(X: Float64[Tensor, "n dk"]) -> Float64[Tensor, " n"]:
        mean, variance = process.posterior(X[:, : surrogate.encoded])
        return log_expected_improvement(
            mean.unsqueeze(1), variance.sqrt().unsqueeze(1), best.unsqueeze(0)
        ).squeeze(1)

    return value


def _scalarised(believed: PendingPosterior, problem: Problem, *, seed: int) -> Acquisition:
    outcomes, count = believed.surrogate.outcomes, len(problem.objectives)
    samples = torch.Size([SAMPLES])
    sampler = ListSampler(
        *(
            IndexSampler(samples, seed=seed)
            if outcome.exact
            else SobolQMCNormalSampler(samples, seed=seed + column)
            for column, outcome in enumerate(outcomes)
        )
    )
    function = qLogNParEGO(
        as_botorch(believed.fitted),
        X_baseline=believed.X[: believed.seen],
        X_pending=believed.X[believed.seen :] if believed.seen < len(believed.X) else None,
        sampler=sampler,
        scalarization_weights=torch.from_numpy(np.random.default_rng(seed).dirichlet(np.ones(count))),
        objective=IdentityMCMultiOutputObjective(outcomes=list(range(count))),
        constraints=[_bounded(column, sign, offset) for column, sign, offset in _bounds(problem, outcomes)]
        or None,
        prune_baseline=True,
        cache_root=False,
    )
    return lambda X: torch.cat([function(part.unsqueeze(1)) for part in torch.split(X, CHUNK // 4)])


def _feasibility(surrogate: Surrogate, problem: Problem, feasibility: Process | None) -> list[Acquisition]:
    chances = [
        _log_within(surrogate, column, sign, offset)
        for column, sign, offset in _bounds(problem, surrogate.outcomes)
        if not surrogate.outcomes[column].exact
    ]
    return chances if feasibility is None else [*chances, log_feasible(feasibility, surrogate.encoded)]


def _log_within(surrogate: Surrogate, column: int, sign: float, offset: float) -> Acquisition:
    process, encoded = surrogate.process(column), surrogate.encoded

    def chance(X: Float64[Tensor, "n dk"]) -> Float64[Tensor, " n"]:
        mean, variance = process.posterior(X[:, :encoded])
        return log_probability(-(sign * mean + offset) / variance.sqrt())

    return chance


def log_feasible(feasibility: Process, encoded: int) -> Acquisition:
    """Return the logarithm of the chance that a trial works at all, read off `encoded` columns."""

    def chance(X: Float64[Tensor, "n dk"]) -> Float64[Tensor, " n"]:
        mean, variance = feasibility.posterior(X[:, :encoded])
        return log_probability(mean / variance.sqrt())

    return chance


def feasible_rows(
    means: Float64[Tensor, "n m"], problem: Problem, outcomes: Sequence[Outcome]
) -> Bool[Tensor, " n"]:
    """Return which rows keep every constraint."""
    kept = torch.ones(len(means), dtype=torch.bool)
    for column, sign, offset in _bounds(problem, outcomes):
        kept &= sign * means[:, column] + offset <= 0
    return kept


def _bounds(problem: Problem, outcomes: Sequence[Outcome]) -> list[tuple[int, float, float]]:
    columns = {outcome.metric: column for column, outcome in enumerate(outcomes)}
    return [
        (
            columns[constraint.metric],
            *signed_bound(outcomes[columns[constraint.metric]], constraint.op, constraint.bound),
        )
        for constraint in problem.constraints
    ]


def _bounded(column: int, sign: float, offset: float) -> Callable[[Tensor], Tensor]:
    return lambda Z: sign * Z[..., column] + offset


def _exact_column(surrogate: Surrogate, objective: int) -> int:
    before = sum(outcome.exact for outcome in surrogate.outcomes[:objective])
    return surrogate.encoded + before


def _product(value: Acquisition, chances: Sequence[Acquisition]) -> Acquisition:
    def product(X: Float64[Tensor, "n dk"]) -> Float64[Tensor, " n"]:
        total = value(X)
        for chance in chances:
            total = total + chance(X)
        return total

    return product
