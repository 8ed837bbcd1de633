"""The Gaussian process, against SciPy's normal density, difference quotients and BoTorch."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import approx_fprime
from scipy.stats import lognorm, multivariate_normal
from threadpoolctl import threadpool_info, threadpool_limits

from service.optimization import gaussian_process
from service.optimization.gaussian_process import (
    Process,
    fit_process,
    left_out_log_density,
    negative_log_posterior,
)
from service.optimization.outcomes import Outcome
from service.optimization.surrogate import Surrogate, as_botorch

THETA = np.array([0.1, -0.3, 0.5, 1.0, -2.0])


def rows(n: int, d: int, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((n, d))


def fitted(n: int = 20, *, variance: torch.Tensor | None = None) -> Process:
    X = torch.from_numpy(rows(n, 3))
    return fit_process(X, torch.sin(3 * X[:, 0]) + X[:, 1], variance=variance, seed=0)


@pytest.mark.parametrize("value", [0.0, 0.7, -1e6])
def test_equal_outcomes_are_predicted_everywhere(value: float) -> None:
    """No spread to standardise by is no division by zero."""
    X = torch.from_numpy(rows(6, 2))
    mean, variance = fit_process(X, torch.full((6,), value).double(), variance=None, seed=0).posterior(X)
    assert mean.tolist() == pytest.approx([value] * 6)
    assert bool(torch.isfinite(variance).all())


def test_one_observation_is_enough() -> None:
    """It is the prediction there; far away the doubt is no smaller."""
    X = torch.zeros(1, 2, dtype=torch.double)
    process = fit_process(X, torch.tensor([0.4]).double(), variance=None, seed=0)
    (mean,), (here,) = process.posterior(X)
    _, (there,) = process.posterior(X + 1)
    assert float(mean) == pytest.approx(0.4)
    assert here <= there


def test_repeated_rows_are_no_fault() -> None:
    """Five times the same row with different outcomes: their mean, and noise."""
    X = torch.full((5, 2), 0.5, dtype=torch.double)
    process = fit_process(X, torch.tensor([0.0, 1.0, 2.0, 3.0, 4.0]).double(), variance=None, seed=0)
    assert float(process.posterior(X[:1])[0]) == pytest.approx(2.0, abs=1e-6)


@pytest.mark.parametrize("given", [None, np.full(12, 0.3)])
def test_the_objective_is_the_log_density_of_the_data_and_the_priors(given: np.ndarray | None) -> None:
    """Two hyperparameters differ by what SciPy's densities say; the constant drops out."""
    X, y = rows(12, 4), np.random.default_rng(1).standard_normal(12)

    def reference(theta: np.ndarray) -> float:
        scaled = X / np.exp(theta[:4])
        kernel = np.exp(-0.5 * ((scaled[:, None] - scaled) ** 2).sum(axis=2))
        covariance = kernel + np.diag(np.full(12, math.exp(theta[4])) if given is None else given)
        inverse = np.linalg.inv(covariance)
        mean = inverse.sum(axis=0) @ y / inverse.sum()
        prior = lognorm.logpdf(np.exp(theta[:4]), math.sqrt(3), scale=math.exp(math.sqrt(2)) * 2).sum()
        if given is None:
            prior += lognorm.logpdf(math.exp(theta[4]), 1.0, scale=math.exp(-4))
        return float(-multivariate_normal.logpdf(y, np.full(12, mean), covariance) - prior)

    other = THETA + np.array([0.3, 0.2, -0.4, 0.1, 0.5])
    ours = negative_log_posterior(THETA, X, y, given)[0] - negative_log_posterior(other, X, y, given)[0]
    assert ours == pytest.approx(reference(THETA) - reference(other))


def test_the_gradient_is_that_of_the_objective() -> None:
    """Against difference quotients."""
    X, y = rows(15, 4), np.random.default_rng(1).standard_normal(15)
    slopes = approx_fprime(THETA, lambda theta: negative_log_posterior(theta, X, y, None)[0], 1e-6)
    assert negative_log_posterior(THETA, X, y, None)[1] == pytest.approx(slopes, abs=1e-4)


@pytest.mark.parametrize("variance", [None, torch.full((20,), 0.01).double()])
def test_the_posterior_is_botorchs_for_the_same_hyperparameters(variance: torch.Tensor | None) -> None:
    """Mean and variance, on the outcome's own scale."""
    process = fitted(variance=variance)
    surrogate = Surrogate((Outcome("score", 1.0, exact=False),), (process,), features=3)
    X = torch.from_numpy(rows(7, 3, seed=5))
    with torch.no_grad():
        expected = as_botorch(surrogate).models[0].posterior(X.unsqueeze(1))
    mean, spread = process.posterior(X)
    assert torch.allclose(mean, expected.mean.squeeze(), atol=1e-6)
    assert torch.allclose(spread, expected.variance.squeeze(), atol=1e-6)


def test_a_fit_takes_one_thread_of_blas_and_gives_the_others_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside busy cores a Cholesky decomposition by two threads takes a hundred times as long as by one."""
    seen: set[int] = set()

    def threads() -> set[int]:
        return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}

    def watched(*arguments: Any) -> tuple[float, np.ndarray]:
        seen.update(threads())
        return negative_log_posterior(*arguments)

    monkeypatch.setattr(gaussian_process, "negative_log_posterior", watched)
    with threadpool_limits(2, user_api="blas"):
        fit_process(torch.rand(8, 2, dtype=torch.double), torch.arange(8.0).double(), variance=None, seed=0)
        assert (seen, threads()) == ({1}, {2})


def test_a_smooth_function_is_learned() -> None:
    """Forty rows of a plane and a wave predict it elsewhere, half of the time to a thousandth."""
    X = torch.from_numpy(rows(50, 3, seed=5))
    error = fitted(40).posterior(X)[0] - (torch.sin(3 * X[:, 0]) + X[:, 1])
    assert float(error.abs().median()) < 0.001
    assert float(error.abs().max()) < 0.2


def test_believing_a_row_keeps_the_mean_and_takes_the_doubt() -> None:
    """A pending trial: what is expected elsewhere does not change, what is unknown around it shrinks."""
    process = fitted(6)
    X = torch.from_numpy(rows(4, 3, seed=9))
    before, after = process.posterior(X), process.condition_on_mean(X[:1]).posterior(X)
    assert torch.allclose(before[0], after[0], atol=1e-6)
    assert float(after[1][0]) < 0.2 * float(before[1][0])
    assert bool((after[1] <= before[1] + 1e-9).all())


def test_leaving_one_out_predicts_each_from_the_others() -> None:
    """The sum of log densities, with the rows taken out one by one and nothing fitted again."""
    process = fitted(8)
    total = 0.0
    for left in range(8):
        kept = [row for row in range(8) if row != left]
        kernel = torch.exp(-0.5 * torch.cdist(*(2 * [process.X / process.lengthscales])) ** 2)
        covariance = kernel + torch.diag(process.noise)
        solved = torch.linalg.solve(covariance[kept][:, kept], covariance[kept, left])
        mean = process.mean + solved @ (process.y[kept] - process.mean)
        variance = covariance[left, left] - solved @ covariance[kept, left]
        total += float(-0.5 * ((process.y[left] - mean) ** 2 / variance + variance.log()))
    assert left_out_log_density(process) == pytest.approx(total - 8 * math.log(process.scale), abs=1e-6)
