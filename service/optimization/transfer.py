"""What former studies predict, how far they are trusted, and a model that starts from them.

Each source gets a Gaussian process of its own. Their posterior means, weighted by how well they rank
the new study's observations (after RGPE, Feurer and others 2018, arXiv 1802.02219), become the prior
mean of the new study's model, which then only has to learn the difference. Two guards keep a source
that misleads out: it must rank better than chance, and the model must predict observations that it
has not seen better with the sources than without. Knows arrays; nothing of studies or their spaces.
"""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from botorch.cross_validation import efficient_loo_cv
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from botorch.models.model import Model
from botorch.posteriors import GPyTorchPosterior
from gpytorch.distributions import MultivariateNormal
from gpytorch.mlls import ExactMarginalLogLikelihood
from jaxtyping import Float64
from torch import Tensor

from service.optimization.numerics import FIT_FAILURES
from service.optimization.problem import MODELLED_POINTS

LEAST_EVIDENCE = 4
"""Observations below which nothing says whether a source is right."""

RANKED_POINTS = 200
"""Observations whose order is compared with a source's; of more, a random part."""

BETTER_THAN_CHANCE = 1.645
"""Standard deviations of Kendall's tau under random orders: one in twenty of them reaches this."""

LEAST_SPREAD = 1e-9
"""Observations of a source that differ by less are all equal."""

BOOTSTRAPS = 256
FIT_ITERATIONS = 75

LEAST_GAIN = 1.0
"""Log density that the sources must add over all observations: the price of one parameter more (Akaike)."""


@dataclass(frozen=True)
class SourceObservations:
    """One outcome of a former study: n rows in this problem's unit cube, higher y is better."""

    name: str
    X: Float64[Tensor, "n d"]
    y: Float64[Tensor, " n"]


@dataclass(frozen=True)
class SourceMean:
    """The posterior mean of a source's Gaussian process, in standard deviations of the source."""

    process: SingleTaskGP
    coefficients: Float64[Tensor, " n"]

    def __call__(self, X: Float64[Tensor, "*batch d"]) -> Float64[Tensor, "*batch"]:
        """Predict each row."""
        rows = X.reshape(-1, X.shape[-1])
        inputs = self.process.train_inputs[0]
        covariance = self.process.covar_module(rows, inputs).to_dense()
        found: Tensor = self.process.mean_module(rows) + covariance @ self.coefficients
        return found.reshape(X.shape[:-1])


class TransferModel(Model):  # type: ignore[misc]  # BoTorch says what a model is by its base class
    """A model of what is left after `slope` times the sources' weighted prediction is taken off."""

    def __init__(self, difference: Model, prior: "PriorMean", *, slope: float) -> None:
        super().__init__()
        self.difference = difference
        self.prior = prior
        self.slope = slope

    @property
    def weights(self) -> Mapping[str, float]:
        """The share of each source in the prior mean; they add up to 1."""
        return self.prior.weights

    @property
    def num_outputs(self) -> int:
        """One."""
        return 1

    @property
    def batch_shape(self) -> torch.Size:
        """That of the model of the difference."""
        shape: torch.Size = self.difference.batch_shape
        return shape

    def posterior(
        self, X: Float64[Tensor, "*batch q dk"], *args: object, **kwargs: object
    ) -> GPyTorchPosterior:
        """Give the joint posterior of the rows."""
        found = self.difference.posterior(X, *args, **kwargs).distribution
        mean = found.mean + self.slope * self.prior(X)
        return GPyTorchPosterior(MultivariateNormal(mean, found.lazy_covariance_matrix))


@dataclass(frozen=True)
class PriorMean:
    """The weighted mean of the sources' predictions over the first d columns of a row."""

    means: Mapping[str, SourceMean]
    weights: Mapping[str, float]
    columns: int

    def __call__(self, X: Float64[Tensor, "*batch dk"]) -> Float64[Tensor, "*batch"]:
        """Predict each row."""
        total = torch.zeros(X.shape[:-1], dtype=X.dtype)
        for name, weight in self.weights.items():
            total = total + weight * self.means[name](X[..., : self.columns])
        return total


def fit_with_sources(
    X: Float64[Tensor, "n dk"],
    y: Float64[Tensor, "n 1"],
    *,
    fit: Callable[[Float64[Tensor, "n 1"]], SingleTaskGP],
    sources: Sequence[SourceObservations],
    seed: int,
) -> Model:
    """Fit a model with `fit`, on top of the sources where they help; else exactly `fit(y)`.

    Raises:
        ModelFittingError: If a fit of the new study's observations does not converge.
    """
    plain = fit(y)
    prior = trusted_prior(X, y.squeeze(-1), sources, seed=seed)
    if not prior.weights:
        return plain
    feature = prior(X).detach()
    slope = _slope(feature, y.squeeze(-1))
    if slope <= 0.0:
        return plain
    difference = fit(y - slope * feature.unsqueeze(-1))
    if _left_out_log_density(difference) > _left_out_log_density(plain) + LEAST_GAIN:
        return TransferModel(difference, prior, slope=slope)
    return plain


def trusted_prior(
    X: Float64[Tensor, "n dk"], y: Float64[Tensor, " n"], sources: Sequence[SourceObservations], *, seed: int
) -> PriorMean:
    """Give the prior mean of the sources that rank the observations better than chance; maybe none."""
    means = source_means(sources)
    columns = sources[0].X.shape[1] if sources else 0
    if not means or len(y) < LEAST_EVIDENCE:
        return PriorMean(means, {}, columns)
    generator = torch.Generator().manual_seed(seed)
    kept = torch.randperm(len(y), generator=generator)[:RANKED_POINTS]
    predictions = torch.stack([mean(X[kept, :columns]) for mean in means.values()]).detach()
    weights = rank_weights(predictions, y[kept], generator=generator)
    return PriorMean(
        means, {name: weight for name, weight in zip(means, weights, strict=True) if weight > 0}, columns
    )


def untested_prior(sources: Sequence[SourceObservations]) -> PriorMean:
    """Give the plain average of the sources, for when there is no evidence yet."""
    means = source_means(sources)
    return PriorMean(
        means, dict.fromkeys(means, 1 / max(len(means), 1)), sources[0].X.shape[1] if sources else 0
    )


def source_means(sources: Sequence[SourceObservations]) -> dict[str, SourceMean]:
    """Model each source that has something to say, by its name."""
    found = {}
    for source in sources:
        if len(source.y) >= LEAST_EVIDENCE and float(source.y.std()) > LEAST_SPREAD:
            rows, columns = source.X.shape
            mean = _fitted(source.X.numpy().tobytes(), source.y.numpy().tobytes(), rows=rows, columns=columns)
            if mean is not None:
                found[source.name] = mean
    return found


def rank_weights(
    predictions: Float64[Tensor, "k n"], y: Float64[Tensor, " n"], *, generator: torch.Generator
) -> list[float]:
    """Give the share of bootstrap samples in which each prediction has the fewest misranked pairs.

    Exactly 0 for one whose order of the n observations is no better than chance (Kendall's tau).
    """
    agreement = signed_agreement(predictions, y)
    good = [index for index, each in enumerate(agreement) if concordance(each) > chance(len(y))]
    if not good:
        return [0.0] * len(predictions)
    draws = torch.randint(len(y), (BOOTSTRAPS, len(y)), generator=generator)
    counts = torch.nn.functional.one_hot(draws, len(y)).sum(dim=1).double()
    losses = torch.stack([((counts @ -agreement[index]) * counts).sum(dim=1) for index in good])
    best = (losses == losses.min(dim=0).values).double()
    shares = (best / best.sum(dim=0)).mean(dim=1).tolist()
    weights = dict(zip(good, shares, strict=True))
    return [weights.get(index, 0.0) for index in range(len(predictions))]


def signed_agreement(
    predictions: Float64[Tensor, "k n"], y: Float64[Tensor, " n"]
) -> Float64[Tensor, "k n n"]:
    """Give 1 for each pair that a prediction orders as `y` does, -1 for the opposite, 0 for a tie."""
    order = (y.unsqueeze(1) - y).sign()
    return (predictions.unsqueeze(2) - predictions.unsqueeze(1)).sign() * order


def concordance(agreement: Float64[Tensor, "n n"]) -> float:
    """Give Kendall's tau from the signed agreement of each pair."""
    count = len(agreement)
    return float(agreement.sum()) / (count * (count - 1))


def chance(count: int) -> float:
    """Give the tau that one in twenty random orders of `count` reaches (normal approximation)."""
    return BETTER_THAN_CHANCE * math.sqrt(2 * (2 * count + 5) / (9 * count * (count - 1)))


def _slope(feature: Float64[Tensor, " n"], y: Float64[Tensor, " n"]) -> float:
    # Ridge regression: one pseudo-observation at a standard deviation of the source says 0.
    centred = feature - feature.mean()
    return float(centred @ (y - y.mean()) / (centred @ centred + 1.0))


def _left_out_log_density(model: SingleTaskGP) -> float:
    found = efficient_loo_cv(model)
    mean, variance = found.posterior.mean.flatten(), found.posterior.variance.flatten()
    densities = -0.5 * ((found.observed_Y.flatten() - mean) ** 2 / variance + variance.log())
    return float(densities.sum().detach())


@lru_cache(maxsize=64)
def _fitted(X_bytes: bytes, y_bytes: bytes, *, rows: int, columns: int) -> SourceMean | None:
    # By content: a source hardly changes, and is asked about at every suggestion.
    X = torch.frombuffer(bytearray(X_bytes), dtype=torch.double).reshape(rows, columns)
    y = torch.frombuffer(bytearray(y_bytes), dtype=torch.double)
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        kept = torch.randperm(rows)[:MODELLED_POINTS]
        try:
            return _source_mean(X[kept], y[kept])
        except FIT_FAILURES:
            return None


def _source_mean(X: Float64[Tensor, "n d"], y: Float64[Tensor, " n"]) -> SourceMean:
    y = (y - y.mean()) / y.std()
    process = SingleTaskGP(X, y.unsqueeze(-1), outcome_transform=None)
    fit_gpytorch_mll(
        ExactMarginalLogLikelihood(process.likelihood, process),
        optimizer_kwargs={"options": {"maxiter": FIT_ITERATIONS}},
    )
    process.eval().requires_grad_(False)
    noisy = process.covar_module(X).to_dense() + process.likelihood.noise * torch.eye(len(X)).double()
    centred = (y - process.mean_module(X)).unsqueeze(-1)
    coefficients = torch.cholesky_solve(centred, torch.linalg.cholesky(noisy)).squeeze(-1)
    return SourceMean(process, coefficients)
