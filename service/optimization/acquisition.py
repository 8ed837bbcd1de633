"""How much a candidate is worth, given observations and pending trials. Everything is a logarithm.

One measured and one known objective: log expected hypervolume improvement in closed form. One
objective: log expected improvement. Two to four objectives otherwise: log noisy expected hypervolume
improvement by Monte Carlo (Ament and others 2023, arXiv 2310.20708); more: a random scalarisation
(qLogNParEGO). Each is multiplied by the probability that the trial is feasible.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
from botorch.acquisition.multi_objective.objective import IdentityMCMultiOutputObjective
from botorch.acquisition.multi_objective.parego import qLogNParEGO
from botorch.sampling import ListSampler, SobolQMCNormalSampler
from botorch.sampling.index_sampler import IndexSampler
from jaxtyping import Bool, Float64
from torch import Tensor

from service.optimization.gaussian_process import Process
from service.optimization.outcomes import Outcome, signed_bound
from service.optimization.problem import Problem
from service.optimization.surrogate import Surrogate, as_botorch

SAMPLES = 64
CHUNK = 256
"""Candidates scored at a time by Monte Carlo: bounds memory, changes no value."""

HYPERVOLUME_OBJECTIVES = 4
"""With more, partitioning the dominated space takes longer than a trial's proposal may."""

Acquisition = Callable[[Float64[Tensor, "n dk"]], Float64[Tensor, " n"]]


@dataclass(frozen=True)
class Believed:
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
    believed: Believed,
    problem: Problem,
    *,
    reference: Float64[Tensor, " objectives"],
    feasibility: Process | None,
    seed: int,
) -> tuple[Acquisition, str]:
    """Build the acquisition function over augmented rows, and name it."""
    outcomes = believed.surrogate.outcomes
    count = len(problem.objectives)
    known = [outcome.known for outcome in outcomes[:count]]
    chance = _feasibility(believed.surrogate, problem, feasibility)
    if count == 1:
        value = _expected_improvement(believed)
        return _product(value, chance), "logei"
    if count == 2 and sum(known) == 1:
        value = _hypervolume_improvement(believed, reference, measured=known.index(False))
        return _product(value, chance), "logehvi"
    many = count > HYPERVOLUME_OBJECTIVES
    value = _monte_carlo(believed, problem, reference=reference, scalarised=many, seed=seed)
    only_infeasible = [] if feasibility is None else [_log_feasible(feasibility, believed.surrogate.encoded)]
    return _product(value, only_infeasible), "qlognparego" if many else "qlognehvi"


def log_h(z: Float64[Tensor, "*n"]) -> Float64[Tensor, "*n"]:
    """Give log(phi(z) + z Phi(z)) without cancellation (Ament and others 2023, equation 9)."""
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
    """Give the logarithm of the standard normal distribution function."""
    found: Tensor = torch.special.log_ndtr(z)
    return found


def staircase(
    known: Float64[Tensor, " n"],
    measured: Float64[Tensor, " n"],
    *,
    reference: tuple[float, float],
) -> tuple[Float64[Tensor, " steps"], Float64[Tensor, " steps"]]:
    """Give where each step of the attained region begins on the known axis, and its height.

    The last step has no end: there nothing but the reference (known, measured) bounds a gain.
    """
    counted = (known > reference[0]) & (measured > reference[1])
    known, measured = known[counted], measured[counted]
    order = torch.argsort(known, descending=True, stable=True)
    known, best = known[order], torch.cummax(measured[order], dim=0).values if counted.any() else measured
    starts, heights = [reference[0]], []
    for edge, height in zip(reversed(known.tolist()), reversed(best.tolist()), strict=True):
        if edge > starts[-1]:
            starts.append(edge)
            heights.append(height)
    heights.append(reference[1])
    return torch.tensor(starts, dtype=torch.double), torch.tensor(heights, dtype=torch.double)


def _hypervolume_improvement(
    believed: Believed, reference: Float64[Tensor, " objectives"], *, measured: int
) -> Acquisition:
    """With cost c known and score ~ N(mu, s^2), EHVI = sum_k w_k EI(h_k; mu, s).

    h_k is the best score at no more cost than step k, w_k the length of the step that c reaches.
    """
    surrogate = believed.surrogate
    process = surrogate.process(measured)
    front = believed.means[believed.feasible]
    starts, heights = staircase(
        front[:, 1 - measured],
        front[:, measured],
        reference=(float(reference[1 - measured]), float(reference[measured])),
    )
    ends = torch.cat([starts[1:], torch.tensor([math.inf], dtype=torch.double)])
    column = _known_column(surrogate, 1 - measured)

    def value(X: Float64[Tensor, "n dk"]) -> Float64[Tensor, " n"]:
        mean, variance = process.posterior(X[:, : surrogate.encoded])
        deviation = variance.sqrt().unsqueeze(1)
        widths = torch.minimum(X[:, column].unsqueeze(1), ends) - starts
        reached = widths > 0
        gains = torch.log(deviation) + log_h((mean.unsqueeze(1) - heights) / deviation)
        logs = torch.where(reached, torch.log(torch.where(reached, widths, 1.0)) + gains, -math.inf)
        return torch.logsumexp(torch.cat([logs, torch.full_like(logs[:, :1], LEAST)], dim=1), dim=1)

    return value


LEAST = -1e4
"""The logarithm of nothing to gain: finite, so that gradients stay numbers."""


def _expected_improvement(believed: Believed) -> Acquisition:
    surrogate = believed.surrogate
    values = believed.means[believed.feasible, 0]
    if len(values) == 0:
        # Nothing feasible yet: any feasible point is an improvement.
        return lambda X: torch.zeros(len(X), dtype=torch.double)
    best = values.max()
    if surrogate.outcomes[0].known:
        column = _known_column(surrogate, 0)
        return lambda X: torch.log((X[:, column] - best).clamp_min(math.exp(-700.0)))
    process = surrogate.process(0)

    def value(X: Float64[Tensor, "n dk"]) -> Float64[Tensor, " n"]:
        mean, variance = process.posterior(X[:, : surrogate.encoded])
        return torch.log(variance) / 2 + log_h((mean - best) / variance.sqrt())

    return value


def _monte_carlo(
    believed: Believed,
    problem: Problem,
    *,
    reference: Float64[Tensor, " objectives"],
    scalarised: bool,
    seed: int,
) -> Acquisition:
    outcomes, count = believed.surrogate.outcomes, len(problem.objectives)
    samples = torch.Size([SAMPLES])
    sampler = ListSampler(
        *(
            IndexSampler(samples, seed=seed)
            if outcome.known
            else SobolQMCNormalSampler(samples, seed=seed + column)
            for column, outcome in enumerate(outcomes)
        )
    )
    shared = {
        "X_baseline": believed.X[: believed.seen],
        "X_pending": believed.X[believed.seen :] if believed.seen < len(believed.X) else None,
        "sampler": sampler,
        "constraints": [_bounded(column, sign, offset) for column, sign, offset in _bounds(problem, outcomes)]
        or None,
        "prune_baseline": True,
        "cache_root": False,
    }
    model = as_botorch(believed.fitted)
    objective = IdentityMCMultiOutputObjective(outcomes=list(range(count)))
    if scalarised:
        function = qLogNParEGO(model, objective=objective, **shared)
    else:
        function = qLogNoisyExpectedHypervolumeImprovement(
            model, ref_point=reference, objective=objective, **shared
        )
    return lambda X: torch.cat([function(part.unsqueeze(1)) for part in torch.split(X, CHUNK)])


def _feasibility(surrogate: Surrogate, problem: Problem, feasibility: Process | None) -> list[Acquisition]:
    chances = [
        _log_within(surrogate, column, sign, offset)
        for column, sign, offset in _bounds(problem, surrogate.outcomes)
        if not surrogate.outcomes[column].known
    ]
    return chances if feasibility is None else [*chances, _log_feasible(feasibility, surrogate.encoded)]


def _log_within(surrogate: Surrogate, column: int, sign: float, offset: float) -> Acquisition:
    process, encoded = surrogate.process(column), surrogate.encoded

    def chance(X: Float64[Tensor, "n dk"]) -> Float64[Tensor, " n"]:
        mean, variance = process.posterior(X[:, :encoded])
        return log_probability(-(sign * mean + offset) / variance.sqrt())

    return chance


def _log_feasible(feasibility: Process, encoded: int) -> Acquisition:
    def chance(X: Float64[Tensor, "n dk"]) -> Float64[Tensor, " n"]:
        mean, variance = feasibility.posterior(X[:, :encoded])
        return log_probability(mean / variance.sqrt())

    return chance


def feasible_rows(
    means: Float64[Tensor, "n m"], problem: Problem, outcomes: Sequence[Outcome]
) -> Bool[Tensor, " n"]:
    """Say which rows keep every constraint."""
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


def _known_column(surrogate: Surrogate, objective: int) -> int:
    before = sum(outcome.known for outcome in surrogate.outcomes[:objective])
    return surrogate.encoded + before


def _product(value: Acquisition, chances: Sequence[Acquisition]) -> Acquisition:
    def product(X: Float64[Tensor, "n dk"]) -> Float64[Tensor, " n"]:
        total = value(X)
        for chance in chances:
            total = total + chance(X)
        return total

    return product
