"""What former studies (sources) predict, how far they are trusted, and a model that starts from them.

Each source gets a Gaussian process. Their posterior means, weighted by how well they rank the new study's
observations (after RGPE, Feurer and others 2018, arXiv 1802.02219), become the prior mean of the new
study's model, which then only has to learn the difference. Two guards exclude a misleading source: it must
rank better than chance, and the model must predict left-out observations better with the sources than
without. Knows arrays; nothing of studies or their spaces.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from jaxtyping import Float64
from torch import Tensor

from service.optimization.gaussian_process import Process, fit_process, left_out_log_density
from service.optimization.numerics import FIT_FAILURES
from service.optimization.problem import MODELLED_POINTS

LEAST_EVIDENCE = 4
"""With fewer observations there is no evidence for or against a source."""

RANKED_POINTS = 200
"""Observations whose ranks are compared with a source's; of more, a random part."""

BETTER_THAN_CHANCE = 1.645
"""Standard deviations of Kendall's tau under random orders: one in twenty of them reaches this."""

LEAST_SPREAD = 1e-9
"""Observations of a source that differ by less are all equal."""

BOOTSTRAPS = 256

LEAST_GAIN = 1.0
"""Log density that the sources must add over all observations: the cost of one more parameter (Akaike)."""


@dataclass(frozen=True)
class SourceObservations:
    """One outcome of a former study: n rows in this problem's unit cube, higher y is better."""

    name: str
    X: Float64[Tensor, "n d"]
    y: Float64[Tensor, " n"]


@dataclass(frozen=True)
class PriorMean:
    """The weighted mean of the sources' predictions, each in standard deviations of its source."""

    means: Mapping[str, Process]
    weights: Mapping[str, float]

    def __call__(self, X: Float64[Tensor, "n d"]) -> Float64[Tensor, " n"]:
        """Predict each row."""
        total = torch.zeros(len(X), dtype=X.dtype)
        for name, weight in self.weights.items():
            total = total + weight * self.means[name].posterior(X)[0]
        return total


@dataclass(frozen=True)
class TransferProcess:
    """A process of what is left after `slope` times the sources' weighted prediction is taken off.

    `plain` is the process that was fitted without them.
    """

    difference: Process
    prior: PriorMean
    slope: float
    plain: Process

    @property
    def weights(self) -> Mapping[str, float]:
        """The share of each source in the prior mean; they add up to 1."""
        return self.prior.weights

    @property
    def noise_variance(self) -> float:
        """The noise of a new observation, in the outcome's unit, squared."""
        return self.difference.noise_variance

    def posterior(self, X: Float64[Tensor, "m d"]) -> tuple[Float64[Tensor, " m"], Float64[Tensor, " m"]]:
        """Return the mean and the variance of the latent function at each row alone."""
        mean, variance = self.difference.posterior(X)
        return mean + self.slope * self.prior(X), variance

    def joint_posterior(
        self, X: Float64[Tensor, "m d"]
    ) -> tuple[Float64[Tensor, " m"], Float64[Tensor, "m m"]]:
        """Return the mean and the covariance of the latent function over the rows."""
        mean, covariance = self.difference.joint_posterior(X)
        return mean + self.slope * self.prior(X), covariance

    def prior_difference(
        self, X: Float64[Tensor, "m d"], others: Float64[Tensor, "l d"]
    ) -> Float64[Tensor, "m l"]:
        """Return how far what the sources do not explain may differ between rows: a deviation."""
        return self.difference.prior_difference(X, others)

    def condition_on_mean(self, X: Float64[Tensor, "q d"]) -> "TransferProcess":
        """Return the process after observing each row at its posterior mean."""
        return replace(
            self, difference=self.difference.condition_on_mean(X), plain=self.plain.condition_on_mean(X)
        )


def fit_with_sources(
    X: Float64[Tensor, "n d"],
    y: Float64[Tensor, " n"],
    *,
    variance: Float64[Tensor, " n"] | None,
    sources: Sequence[SourceObservations],
    seed: int,
    deadline: float = math.inf,
) -> Process | TransferProcess:
    """Return a process on top of the sources if they help, otherwise one without them.

    Raises:
        numpy.linalg.LinAlgError: If a covariance is not positive definite.
    """
    plain = fit_process(X, y, variance=variance, seed=seed, deadline=deadline)
    prior = trusted_prior(X, y, sources, seed=seed, deadline=deadline)
    if not prior.weights:
        return plain
    feature = prior(X)
    slope = _slope(feature, y)
    if slope <= 0.0:
        return plain
    difference = fit_process(X, y - slope * feature, variance=variance, seed=seed, deadline=deadline)
    if left_out_log_density(difference) > left_out_log_density(plain) + LEAST_GAIN:
        return TransferProcess(difference, prior, slope, plain)
    return plain


def trusted_prior(
    X: Float64[Tensor, "n d"],
    y: Float64[Tensor, " n"],
    sources: Sequence[SourceObservations],
    *,
    seed: int,
    deadline: float = math.inf,
) -> PriorMean:
    """Return the prior mean of the sources that rank the observations better than chance; maybe none."""
    means = source_means(sources, deadline=deadline)
    if not means or len(y) < LEAST_EVIDENCE:
        return PriorMean(means, {})
    generator = torch.Generator().manual_seed(seed)
    kept = torch.randperm(len(y), generator=generator)[:RANKED_POINTS]
    predictions = torch.stack([mean.posterior(X[kept])[0] for mean in means.values()])
    weights = rank_weights(predictions, y[kept], generator=generator)
    return PriorMean(means, {name: weight for name, weight in zip(means, weights, strict=True) if weight > 0})


def untested_prior(sources: Sequence[SourceObservations], *, deadline: float = math.inf) -> PriorMean:
    """Return the unweighted average of the sources, to use before there is evidence."""
    means = source_means(sources, deadline=deadline)
    return PriorMean(means, dict.fromkeys(means, 1 / max(len(means), 1)))


def source_means(sources: Sequence[SourceObservations], *, deadline: float = math.inf) -> dict[str, Process]:
    """Return the process of each source with enough observations, by name; none is fitted after deadline."""
    means = {}
    for source in sources:
        if time.monotonic() >= deadline:
            break
        if len(source.y) >= LEAST_EVIDENCE and float(source.y.std()) > LEAST_SPREAD:
            rows, columns = source.X.shape
            mean = _fitted(source.X.numpy().tobytes(), source.y.numpy().tobytes(), rows=rows, columns=columns)
            if mean is not None:
                means[source.name] = mean
    return means


def rank_weights(
    predictions: Float64[Tensor, "k n"], y: Float64[Tensor, " n"], *, generator: torch.Generator
) -> list[float]:
    """Return the share of bootstrap samples in which each prediction has the fewest misranked pairs.

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
    """Return 1 for each pair that a prediction orders as `y` does, -1 for the opposite, 0 for a tie."""
    order = (y.unsqueeze(1) - y).sign()
    return (predictions.unsqueeze(2) - predictions.unsqueeze(1)).sign() * order


def concordance(agreement: Float64[Tensor, "n n"]) -> float:
    """Return Kendall's tau from the signed agreement of each pair."""
    count = len(agreement)
    return float(agreement.sum()) / (count * (count - 1))


def chance(count: int) -> float:
    """Return the tau that one in twenty random orders of `count` reaches (normal approximation)."""
    return BETTER_THAN_CHANCE * math.sqrt(2 * (2 * count + 5) / (9 * count * (count - 1)))


def _slope(feature: Float64[Tensor, " n"], y: Float64[Tensor, " n"]) -> float:
    # Ridge regression: a pseudo-observation of 0, one standard deviation of the source away.
    centred = feature - feature.mean()
    return float(centred @ (y - y.mean()) / (centred @ centred + 1.0))


@lru_cache(maxsize=256)
def _fitted(X_bytes: bytes, y_bytes: bytes, *, rows: int, columns: int) -> Process | None:
    # Cached by content: a source rarely changes and every suggestion needs it. Twenty sources of six outcomes
    # fit; a cache smaller than what is read in turn would never hit.
    X = torch.frombuffer(bytearray(X_bytes), dtype=torch.double).reshape(rows, columns)
    y = torch.frombuffer(bytearray(y_bytes), dtype=torch.double)
    kept = torch.randperm(rows, generator=torch.Generator().manual_seed(0))[:MODELLED_POINTS]
    X, y = X[kept], y[kept]
    try:
        return fit_process(X, (y - y.mean()) / y.std(), variance=None, seed=0)
    except FIT_FAILURES:
        return None
