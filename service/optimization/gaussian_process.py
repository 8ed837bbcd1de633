"""Gaussian process regression with a squared exponential kernel, fitted in milliseconds.

The model and its priors are BoTorch's default (Hvarfner and others 2024, arXiv 2402.02229): one
lengthscale a dimension with a log-normal prior that grows with the dimension, standardised
outcomes, noise with a log-normal prior unless it is given. The gradient of the marginal likelihood
is written out, which makes a fit about ten times as fast as automatic differentiation; the constant
mean is profiled out. Knows rows and outcomes, not the search space.
"""

import math
import time
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from jaxtyping import Float64
from scipy.linalg import cho_solve, cholesky
from scipy.optimize import minimize
from threadpoolctl import ThreadpoolController
from torch import Tensor

LENGTHSCALE_BOUNDS = (0.025, 200.0)
NOISE_BOUNDS = (1e-5, 10.0)
LENGTHSCALE_DEVIATION = math.sqrt(3)
NOISE_LOCATION, NOISE_DEVIATION = -4.0, 1.0
FIT_ITERATIONS = 60
FIT_ROWS = 300
"""Hyperparameters are fitted to at most this many rows; the posterior uses them all."""

WIDE_FIT = 256
"""With more columns, those that are constant over the rows keep the mode of the prior, where a fit would
leave them: with many choices most columns are constant."""

Vector = Float64[np.ndarray, " n"]
Matrix = Float64[np.ndarray, "n d"]


@dataclass(frozen=True)
class Process:
    """A fitted process. Inputs are rows of the unit cube, outcomes keep their unit."""

    X: Float64[Tensor, "n d"]
    y: Float64[Tensor, " n"]
    lengthscales: Float64[Tensor, " d"]
    noise: Float64[Tensor, " n"]
    mean: float
    cholesky: Float64[Tensor, "n n"]
    weights: Float64[Tensor, " n"]
    shift: float
    scale: float

    @property
    def noise_variance(self) -> float:
        """The noise variance of a new observation, in the outcome's unit, squared."""
        return float(self.noise.median()) * self.scale**2

    def posterior(self, X: Float64[Tensor, "m d"]) -> tuple[Float64[Tensor, " m"], Float64[Tensor, " m"]]:
        """Return the mean and the variance of the latent function at each row alone."""
        cross = _kernel(X, self.X, self.lengthscales)
        mean = self.mean + cross @ self.weights
        reduction = torch.linalg.solve_triangular(self.cholesky, cross.T, upper=False)
        variance = (1.0 - (reduction**2).sum(dim=0)).clamp_min(1e-10)
        return self.shift + self.scale * mean, self.scale**2 * variance

    def joint_posterior(
        self, X: Float64[Tensor, "m d"]
    ) -> tuple[Float64[Tensor, " m"], Float64[Tensor, "m m"]]:
        """Return the mean and the covariance of the latent function over the rows."""
        cross = _kernel(X, self.X, self.lengthscales)
        mean = self.mean + cross @ self.weights
        reduction = torch.linalg.solve_triangular(self.cholesky, cross.T, upper=False)
        covariance = _kernel(X, X, self.lengthscales) - reduction.T @ reduction
        return self.shift + self.scale * mean, self.scale**2 * covariance

    def prior_difference(
        self, X: Float64[Tensor, "m d"], others: Float64[Tensor, "l d"]
    ) -> Float64[Tensor, "m l"]:
        """Return how far the latent function may differ between rows: a deviation, whatever was observed."""
        correlation = _kernel(X, others, self.lengthscales)
        return self.scale * torch.sqrt(2 * (1 - correlation).clamp_min(0.0))

    def condition_on_mean(self, X: Float64[Tensor, "q d"]) -> "Process":
        """Return the process after observing each row at its mean: means stay, variances shrink."""
        y = (self.posterior(X)[0] - self.shift) / self.scale
        noise = torch.cat([self.noise, self.noise.median().repeat(len(X))])
        return _conditioned(
            torch.cat([self.X, X]),
            torch.cat([self.y, y]),
            self.lengthscales,
            noise,
            mean=self.mean,
            shift=self.shift,
            scale=self.scale,
        )


def fit_process(
    X: Float64[Tensor, "n d"],
    y: Float64[Tensor, " n"],
    *,
    variance: Float64[Tensor, " n"] | None,
    seed: int,
    deadline: float = math.inf,
) -> Process:
    """Fit a process; the noise is inferred where `variance` is None.

    A fit that reaches `deadline`, on the monotonic clock, keeps the hyperparameters it has by then.

    Raises:
        numpy.linalg.LinAlgError: If the covariance is not positive definite, even with jitter.
    """
    shift, scale = float(y.mean()), float(y.std()) if len(y) > 1 else 1.0
    # Relative to the size of the outcomes: their unit must not matter.
    scale = scale if scale > 1e-9 * abs(shift) else 1.0
    standard = (y - shift) / scale
    given = None if variance is None else (variance / scale**2).clamp_min(NOISE_BOUNDS[0])
    rows = np.sort(np.random.default_rng(seed).permutation(len(X))[:FIT_ROWS])
    theta = _maximum_a_posteriori(
        X.numpy()[rows],
        standard.numpy()[rows],
        None if given is None else given.numpy()[rows],
        deadline=deadline,
    )
    lengthscales = torch.from_numpy(np.exp(theta[: X.shape[1]]))
    noise = torch.full_like(y, math.exp(theta[-1])) if given is None else given
    kernel = _kernel(X, X, lengthscales) + torch.diag(noise)
    ones = torch.ones(len(y), 1, dtype=torch.double)
    solved = torch.cholesky_solve(torch.cat([standard.unsqueeze(1), ones], dim=1), _cholesky(kernel))
    mean = float(solved[:, 0].sum() / solved[:, 1].sum())
    return _conditioned(X, standard, lengthscales, noise, mean=mean, shift=shift, scale=scale)


def left_out_log_density(process: Process) -> float:
    """Return the leave-one-out log density, summed over the observations, up to a constant.

    Rasmussen and Williams 2006, equations 5.10 to 5.12; hyperparameters stay as they are.
    """
    inverse = torch.cholesky_inverse(process.cholesky)
    variance = 1.0 / inverse.diagonal()
    deviation = process.weights * variance
    return float((-0.5 * (deviation**2 / variance + variance.log()) - math.log(process.scale)).sum())


def negative_log_posterior(
    theta: Vector, X: Matrix, y: Vector, given: Vector | None, columns: int | None = None
) -> tuple[float, Vector]:
    """Return -log p(theta, y) up to a constant, and its gradient. `theta` = log lengthscales, log noise.

    `columns` is how many there are in all, where `X` has only those in which rows differ.

    With A = K^-1 y y' K^-1 - K^-1, the gradient of log p(y) is trace(A dK) / 2, and for a lengthscale
    dK = K * (x_i - x_j)^2 / l^2 (Rasmussen and Williams 2006, equation 5.9).
    """
    d = X.shape[1]
    scaled = X / np.exp(theta[:d])
    squares = (scaled**2).sum(axis=1)
    kernel = np.exp(-0.5 * np.maximum(squares[:, None] + squares - 2 * scaled @ scaled.T, 0.0))
    noise = np.full(len(y), math.exp(theta[-1])) if given is None else given
    lower = cholesky(kernel + np.diag(noise), lower=True, check_finite=False)
    inverse = cho_solve((lower, True), np.eye(len(y)), check_finite=False)
    mean = inverse.sum(axis=0) @ y / inverse.sum()
    alpha = inverse @ (y - mean)
    value = 0.5 * (y - mean) @ alpha + np.log(np.diag(lower)).sum()
    A = np.outer(alpha, alpha) - inverse
    weighted = A * kernel
    # sum_ij W_ij (x_i - x_j)^2 = 2 (x^2' W 1 - x' W x), for each dimension at once.
    moments = (scaled**2).T @ weighted.sum(axis=1) - np.einsum("ik,ik->k", scaled, weighted @ scaled)
    gradient = np.append(-moments, 0.0 if given is not None else -0.5 * np.trace(A) * noise[0])
    prior, slope = _prior(theta, columns or d, noise_given=given is not None)
    return float(value + prior), gradient + slope


def _maximum_a_posteriori(X: Matrix, y: Vector, given: Vector | None, *, deadline: float) -> Vector:
    d = X.shape[1]
    varied = np.ones(d, dtype=bool) if d <= WIDE_FIT else (X[0] != X).any(axis=0)
    theta = np.append(np.full(d, _location(d) - LENGTHSCALE_DEVIATION**2), NOISE_LOCATION - 1.0)
    theta[:d] = np.clip(theta[:d], *np.log(LENGTHSCALE_BOUNDS))
    fitted = np.append(varied, True)
    # Long lengthscales first: from short ones, where the prior has its mode, fits end in worse optima.
    theta[:d][varied] = _location(d) - 1.0
    if time.monotonic() < deadline:
        theta[fitted] = _minimum(
            theta[fitted], np.ascontiguousarray(X[:, varied]), y, given, columns=d, deadline=deadline
        )
    return theta


def _minimum(
    start: Vector, X: Matrix, y: Vector, given: Vector | None, *, columns: int, deadline: float
) -> Vector:
    def stop_if_late(_: Vector) -> None:
        if time.monotonic() >= deadline:
            raise StopIteration

    # Matrices are small, and OpenBLAS threads would wait for a core at every call while trials train.
    with _thread_pools().limit(limits=1, user_api="blas"):
        optimum = minimize(
            negative_log_posterior,
            start,
            args=(X, y, given, columns),
            jac=True,
            method="L-BFGS-B",
            bounds=[tuple(np.log(LENGTHSCALE_BOUNDS))] * X.shape[1] + [tuple(np.log(NOISE_BOUNDS))],
            callback=stop_if_late,
            options={"maxiter": FIT_ITERATIONS, "maxfun": 2 * FIT_ITERATIONS},
        )
    return np.asarray(optimum.x)


@cache
def _thread_pools() -> ThreadpoolController:
    return ThreadpoolController()


def _location(columns: int) -> float:
    return math.sqrt(2) + 0.5 * math.log(max(columns, 1))


def _prior(theta: Vector, columns: int, *, noise_given: bool) -> tuple[float, Vector]:
    # Log-normal densities, of the values themselves: hence the extra -log(value) in each.
    d = len(theta) - 1
    location = np.append(np.full(d, _location(columns)), NOISE_LOCATION)
    deviation = np.append(np.full(d, LENGTHSCALE_DEVIATION), NOISE_DEVIATION)
    used = np.append(np.ones(d), 0.0 if noise_given else 1.0)
    distance = (theta - location) / deviation
    return float((used * (theta + 0.5 * distance**2)).sum()), used * (1.0 + distance / deviation)


def _kernel(
    A: Float64[Tensor, "n d"], B: Float64[Tensor, "m d"], lengthscales: Float64[Tensor, " d"]
) -> Float64[Tensor, "n m"]:
    A, B = A / lengthscales, B / lengthscales
    squares = (A**2).sum(dim=1, keepdim=True) + (B**2).sum(dim=1) - 2 * A @ B.T
    return torch.exp(-0.5 * squares.clamp_min(0.0))


def _conditioned(
    X: Float64[Tensor, "n d"],
    y: Float64[Tensor, " n"],
    lengthscales: Float64[Tensor, " d"],
    noise: Float64[Tensor, " n"],
    *,
    mean: float,
    shift: float,
    scale: float,
) -> Process:
    lower = _cholesky(_kernel(X, X, lengthscales) + torch.diag(noise))
    weights = torch.cholesky_solve((y - mean).unsqueeze(1), lower).squeeze(1)
    return Process(X, y, lengthscales, noise, mean, lower, weights, shift, scale)


def _cholesky(matrix: Float64[Tensor, "n n"]) -> Float64[Tensor, "n n"]:
    for jitter in (0.0, 1e-8, 1e-6, 1e-4):
        lower: Tensor
        lower, failed = torch.linalg.cholesky_ex(matrix + jitter * torch.eye(len(matrix), dtype=torch.double))
        if not failed:
            return lower
    raise np.linalg.LinAlgError("The covariance of the observations is not positive definite.")
