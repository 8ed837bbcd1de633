"""Acquisition values against integrals and averages computed in another way."""

import math
from dataclasses import replace

import mpmath
import pytest
import torch
from botorch.utils.multi_objective.hypervolume import Hypervolume

from api_schemas.objectives import Objective, OutcomeConstraint
from service.optimization.acquisition import LEAST, PendingPosterior, acquisition_function, cells, log_h
from service.optimization.gaussian_process import Process, fit_process
from service.optimization.outcomes import limits_of, outcomes_of
from service.optimization.problem import Problem
from service.optimization.surrogate import Surrogate
from tests.service.optimization.problems import SCORE, SECONDS, problem_on

NUMBERS = [{"type": "float", "name": "x", "low": 0.0, "high": 1.0}]
LATENCY = Objective.model_validate({"metric": "latency_ms", "direction": "minimize"})
DRAWS = 200_000


def column(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.double).unsqueeze(1)


def process(X: torch.Tensor, seed: int) -> Process:
    generator = torch.Generator().manual_seed(seed)
    y = torch.randn(len(X), generator=generator, dtype=torch.double)
    return fit_process(X, y, variance=torch.full((len(X),), 1e-4).double(), seed=0)


def pending_posterior(
    problem: Problem, X: torch.Tensor, feasible: torch.Tensor | None = None
) -> PendingPosterior:
    outcomes = outcomes_of(problem)
    processes = tuple(
        None if outcome.exact else process(X[:, :1], place) for place, outcome in enumerate(outcomes)
    )
    surrogate = Surrogate(outcomes, processes, features=1)
    means = surrogate.means(X)
    kept = torch.ones(len(X), dtype=torch.bool) if feasible is None else feasible
    return PendingPosterior(surrogate, surrogate, X, len(X), means, kept)


@pytest.mark.parametrize("z", [-1e5, -2000.0, -999.0, -30.0, -1.001, -0.999, -0.1, 0.0, 2.0, 40.0])
def test_log_h_keeps_its_digits(z: float) -> None:
    """Against sixty-digit arithmetic, far into the tail where phi and z Phi cancel."""
    with mpmath.workdps(60):
        exact = mpmath.log(mpmath.npdf(z) + z * mpmath.ncdf(z)) if z > -300 else _tail(z)
    assert float(log_h(torch.tensor([z], dtype=torch.double))) == pytest.approx(float(exact), rel=1e-9)


def _tail(z: float) -> mpmath.mpf:
    # phi(z) / z^2 (1 - 3/z^2 + 15/z^4), as the asymptotic series of Mills' ratio gives.
    return -mpmath.mpf(z) ** 2 / 2 - mpmath.log(2 * mpmath.pi) / 2 - 2 * mpmath.log(-z) + mpmath.log(
        1 - 3 / mpmath.mpf(z) ** 2 + 15 / mpmath.mpf(z) ** 4
    )  # fmt: skip


@pytest.mark.parametrize("objectives", [2, 3, 4])
def test_front_and_cells_fill_the_space_above_the_reference(objectives: int) -> None:
    """Their volumes within a box that holds the front add up to the box."""
    front = torch.rand(8, objectives, generator=torch.Generator().manual_seed(1), dtype=torch.double)
    lower, upper = cells(front, torch.zeros(objectives, dtype=torch.double))
    free = (upper.clamp_max(1.0) - lower).clamp_min(0.0).prod(dim=1).sum()
    reference = torch.zeros(objectives, dtype=torch.double)
    dominated = Hypervolume(ref_point=reference).compute(front[_non_dominated(front)])
    assert float(free) + dominated == pytest.approx(1.0)


def _non_dominated(front: torch.Tensor) -> torch.Tensor:
    worse = (front.unsqueeze(0) >= front.unsqueeze(1)).all(dim=2) & (
        front.unsqueeze(0) > front.unsqueeze(1)
    ).any(dim=2)
    return ~worse.any(dim=1)


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("count", [2, 3])
def test_expected_hypervolume_improvement_is_the_average_over_draws(count: int, *, known: bool) -> None:
    """Measured objectives are drawn, a known one stays where it is."""
    objectives = (SCORE, SECONDS, LATENCY)[:count]
    metrics = {"training_seconds": lambda asked: asked} if known else {}
    problem = problem_on(NUMBERS, objectives=objectives, exact_metrics=metrics)
    rows = column(0.05, 0.3, 0.5, 0.8)
    X = torch.cat([rows, column(-1.0, -0.5, 0.0, 0.5)], dim=1) if known else rows
    state = pending_posterior(problem, X)
    reference = torch.full((count,), -1.5, dtype=torch.double)
    function, name = acquisition_function(state, reference, limits=(), feasibility=None, seed=0)
    at = torch.tensor([[0.17, 0.2]] if known else [[0.17]], dtype=torch.double)
    generator = torch.Generator().manual_seed(0)
    draws = []
    for place, fitted in enumerate(state.surrogate.processes):
        if fitted is None:
            draws.append(torch.full((DRAWS,), 0.2, dtype=torch.double))
        else:
            mean, variance = fitted.posterior(at[:, :1])
            noise = torch.randn(DRAWS, generator=generator, dtype=torch.double)
            draws.append(mean + variance.sqrt() * noise)
        assert place < count
    lower, upper = cells(state.means, reference)
    Z = torch.stack(draws, dim=1).unsqueeze(1)
    gains = (torch.minimum(Z, upper) - lower).clamp_min(0.0).prod(dim=2).sum(dim=1)
    assert name == "logehvi"
    assert math.exp(float(function(at))) == pytest.approx(float(gains.mean()), rel=0.02)


def test_where_nothing_can_be_gained_the_value_is_low_and_its_gradient_a_number() -> None:
    """A known cost beyond the reference."""
    metrics = {"training_seconds": lambda asked: asked}
    problem = problem_on(NUMBERS, exact_metrics=metrics)
    state = pending_posterior(problem, torch.cat([column(0.1, 0.9), column(-1.0, 0.5)], dim=1))
    reference = torch.tensor([-1.5, -1.5], dtype=torch.double)
    function, _ = acquisition_function(state, reference, limits=(), feasibility=None, seed=0)
    at = torch.tensor([[0.5, -2.0]], dtype=torch.double, requires_grad=True)
    value = function(at)
    (gradient,) = torch.autograd.grad(value.sum(), at)
    assert float(value.detach()) < -1000
    assert bool(torch.isfinite(gradient).all())


def test_one_objective_gives_expected_improvement_over_the_best_feasible_mean() -> None:
    """The infeasible best does not count."""
    problem = problem_on(NUMBERS, objectives=(SCORE,))
    X = column(0.05, 0.35, 0.65, 0.95)
    best = int(pending_posterior(problem, X).means[:, 0].argmax())
    feasible = torch.arange(4) != best
    state = pending_posterior(problem, X, feasible)
    function, name = acquisition_function(state, torch.zeros(1).double(), limits=(), feasibility=None, seed=0)
    mean, variance = state.surrogate.process(0).posterior(column(0.2))
    level = state.means[feasible, 0].max()
    normal = torch.distributions.Normal(torch.zeros(1).double(), torch.ones(1).double())
    z = (mean - level) / variance.sqrt()
    expected = variance.sqrt() * (torch.exp(normal.log_prob(z)) + z * normal.cdf(z))
    assert name == "logei"
    assert math.exp(float(function(column(0.2)))) == pytest.approx(float(expected))


def test_a_limit_multiplies_by_the_chance_to_keep_it() -> None:
    """And so does what is learned from trials that could not run."""
    limit = OutcomeConstraint.model_validate({"metric": "latency_ms", "op": "<=", "bound": 0.3})
    free = problem_on(NUMBERS, objectives=(SCORE,))
    limited = problem_on(NUMBERS, objectives=(SCORE,), constraints=(limit,))
    X, at, zero = column(0.05, 0.35, 0.65, 0.95), column(0.2), torch.zeros(1).double()
    labels = fit_process(X, torch.tensor([1.0, 1.0, -1.0, -1.0]).double(), variance=None, seed=0)
    plain, _ = acquisition_function(pending_posterior(free, X), zero, limits=(), feasibility=None, seed=0)
    state = pending_posterior(limited, X)
    limits = limits_of(limited, state.surrogate.outcomes)
    both, _ = acquisition_function(state, zero, limits=limits, feasibility=labels, seed=0)
    normal = torch.distributions.Normal(zero, torch.ones(1).double())
    mean, variance = state.surrogate.process(1).posterior(at)
    # Less latency is better, so its outcome is minus the latency.
    keeps = normal.cdf((mean + 0.3) / variance.sqrt())
    mean, variance = labels.posterior(at)
    runs = normal.cdf(mean / variance.sqrt())
    assert float(both(at) - plain(at)) == pytest.approx(float(torch.log(keeps) + torch.log(runs)))


def test_with_five_objectives_observed_rows_that_break_a_limit_do_not_count() -> None:
    """And a candidate's value is multiplied by its chance to keep the limit, as with fewer objectives."""
    limit = OutcomeConstraint.model_validate({"metric": "latency_ms", "op": "<=", "bound": 0.3})
    objectives = tuple(Objective.model_validate({"metric": m, "direction": "maximize"}) for m in "abcde")
    free = problem_on(NUMBERS, objectives=objectives)
    limited = problem_on(NUMBERS, objectives=objectives, constraints=(limit,))
    X, at, reference = column(0.05, 0.35, 0.65, 0.95), column(0.2), torch.zeros(5).double()
    kept = torch.tensor([True, False, True, True])
    state = pending_posterior(limited, X, kept)
    limits = limits_of(limited, state.surrogate.outcomes)
    both, name = acquisition_function(state, reference, limits=limits, feasibility=None, seed=0)
    plain = pending_posterior(free, X)
    plain = replace(plain, X=X[kept], observed=3, means=plain.means[kept], feasible=torch.ones(3) > 0)
    alone, _ = acquisition_function(plain, reference, limits=(), feasibility=None, seed=0)
    mean, variance = state.surrogate.process(5).posterior(at)
    keeps = torch.special.log_ndtr((mean + 0.3) / variance.sqrt())
    assert name == "qlognparego"
    assert float((both(at) - alone(at)).detach()) == pytest.approx(float(keeps))


def test_what_costs_the_same_and_differs_less_than_noise_tells_is_worth_nothing() -> None:
    """With one seed for all it has the luck of the tried row. What is cheaper or farther away counts."""
    metrics = {"training_seconds": lambda asked: asked}
    problem = problem_on(NUMBERS, exact_metrics=metrics)
    state = pending_posterior(problem, torch.cat([column(0.1, 0.9), column(-1.0, -0.9)], dim=1))
    noise = math.sqrt(state.surrogate.process(0).noise_variance)
    reference = torch.tensor([-5.0, -5.0], dtype=torch.double)
    asked = {"limits": (), "feasibility": None, "seed": 0}
    plain, _ = acquisition_function(state, reference, **asked)  # type: ignore[arg-type]
    shared, _ = acquisition_function(state, reference, **asked, shared_luck=True)  # type: ignore[arg-type]
    near = 1e-3 * noise
    at = torch.tensor([[0.1 + near, -1.0], [0.1 + near, -0.5], [0.5, -1.0]], dtype=torch.double)
    assert (shared(at) - plain(at)).tolist() == [LEAST, 0.0, 0.0]
