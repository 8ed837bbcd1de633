"""Former studies help where they are right, and cost nothing where they are wrong."""

import itertools
import math
import statistics

import pytest
import torch
from torch import Tensor

from service.optimization.gaussian_process import Process
from service.optimization.outcomes import Outcome
from service.optimization.surrogate import fit_surrogate
from service.optimization.transfer import (
    BETTER_THAN_CHANCE,
    SourceObservations,
    TransferProcess,
    chance,
    fit_with_sources,
    rank_weights,
    source_means,
)

SCORE = Outcome("score", 1.0, exact=False)


def function(X: Tensor) -> Tensor:
    return torch.sin(5 * X[:, 0]) + X[:, 1] ** 2


def rows(count: int, *, seed: int) -> Tensor:
    return torch.rand(count, 2, generator=torch.Generator().manual_seed(seed)).double()


def source(name: str, sign: float = 1.0, *, count: int = 40) -> SourceObservations:
    X = rows(count, seed=1)
    return SourceObservations(name, X, 3.0 + 10.0 * sign * function(X))


def shuffled(name: str) -> SourceObservations:
    right = source(name)
    return SourceObservations(
        name, right.X, right.y[torch.randperm(40, generator=torch.Generator().manual_seed(2))]
    )


def fitted(count: int, *sources: SourceObservations, noise: float = 0.0) -> Process | TransferProcess:
    X = rows(count, seed=3)
    y = (function(X) + noise * torch.sin(1e4 * X[:, 0])).unsqueeze(1)
    former = {"score": sources}
    return fit_surrogate(X, y, outcomes=[SCORE], variances=[None], sources=former, seed=0).process(0)


def weights_of(process: Process | TransferProcess) -> dict[str, float]:
    return dict(process.weights) if isinstance(process, TransferProcess) else {}


def error(process: Process | TransferProcess) -> float:
    X = rows(200, seed=4)
    return float((process.posterior(X)[0] - function(X)).square().mean().sqrt())


def test_chance_is_that_of_random_orders() -> None:
    """The variance of Kendall's tau over all 120 orders of five."""
    taus = [
        statistics.fmean(1.0 if order[i] < order[j] else -1.0 for i, j in itertools.combinations(range(5), 2))
        for order in itertools.permutations(range(5))
    ]
    assert chance(5) == pytest.approx(BETTER_THAN_CHANCE * statistics.pstdev(taus))


def test_ranks_decide_the_weights() -> None:
    """The better order wins; an opposite one and one that says nothing get exactly zero."""
    y = torch.linspace(0, 1, 12).double()
    nearly = y.clone()
    nearly[[3, 8]] = nearly[[8, 3]]
    predictions = torch.stack([y, nearly, -y, torch.zeros(12).double()])
    best, second, opposite, silent = rank_weights(predictions, y, generator=torch.Generator().manual_seed(0))
    assert best > second
    assert best + second == pytest.approx(1.0)
    assert (opposite, silent) == (0.0, 0.0)


def test_equal_sources_share_alike() -> None:
    """A tie is split, whoever stands first."""
    y = torch.linspace(0, 1, 6).double()
    weights = rank_weights(torch.stack([y, 2 * y]), y, generator=torch.Generator().manual_seed(0))
    assert weights == [0.5, 0.5]


def test_four_observations_must_agree_in_every_pair() -> None:
    """One order of 24 does; a source that misranks one pair is not told from chance yet."""
    y = torch.tensor([0.0, 1.0, 2.0, 3.0]).double()
    swapped = torch.tensor([[0.0, 1.0, 3.0, 2.0]]).double()
    assert rank_weights(swapped, y, generator=torch.Generator()) == [0.0]
    assert rank_weights(y.unsqueeze(0), y, generator=torch.Generator()) == [1.0]


def test_a_source_is_predicted_by_its_own_process() -> None:
    """In standard deviations of the source, so that its unit does not matter."""
    mean = source_means([source("a")])["a"]
    y = source("a").y
    X = rows(6, seed=5)
    expected = (3.0 + 10.0 * function(X) - y.mean()) / y.std()
    assert torch.allclose(mean.posterior(X)[0], expected, atol=0.05)


def test_a_source_that_is_right_predicts_the_rest() -> None:
    """Six observations with it are worth more than without it, whatever its scale."""
    alone, helped = fitted(6), fitted(6, source("a"))
    assert weights_of(helped) == {"a": 1.0}
    assert error(helped) < 0.5 * error(alone)


@pytest.mark.parametrize("wrong", [source("a", -1.0), shuffled("a")], ids=["negated", "shuffled"])
@pytest.mark.parametrize("count", [4, 8, 16])
def test_a_source_that_misleads_changes_nothing(wrong: SourceObservations, count: int) -> None:
    """The model is the one without it, to the last digit."""
    misled, alone = fitted(count, wrong), fitted(count)
    assert weights_of(misled) == {}
    assert error(misled) == error(alone)


def test_of_two_sources_the_right_one_is_heard() -> None:
    """The other one's weight is not small, it is none."""
    assert weights_of(fitted(8, source("wrong", -1.0), source("right"))) == {"right": 1.0}


@pytest.mark.parametrize("count", [1, 3])
def test_too_few_observations_of_the_study_prove_nothing(count: int) -> None:
    """Below four the sources stay out of the model."""
    X = rows(count, seed=3)
    process = fit_with_sources(X, function(X), variance=None, sources=[source("a")], seed=0)
    assert isinstance(process, Process)


@pytest.mark.parametrize(
    "empty",
    [
        SourceObservations("a", rows(9, seed=0), torch.full((9,), 0.1).double()),
        SourceObservations("a", rows(2, seed=0), torch.tensor([0.0, 1.0]).double()),
        SourceObservations("a", rows(0, seed=0), torch.zeros(0).double()),
    ],
    ids=["all equal", "two", "none"],
)
def test_a_source_without_content_is_left_out(empty: SourceObservations) -> None:
    """Nothing to standardise, nothing to learn, and no crash."""
    assert weights_of(fitted(8, empty)) == {}
    assert weights_of(fitted(8, empty, source("b"))) == {"b": 1.0}


def test_the_prior_is_added_to_the_mean_and_leaves_the_variance() -> None:
    """Before and after a pending trial is believed in."""
    process = fitted(6, source("a"))
    assert isinstance(process, TransferProcess)
    Z = rows(6, seed=6)
    for found in (process, process.condition_on_mean(Z[:1])):
        mean, variance = found.posterior(Z)
        plain = found.difference.posterior(Z)
        assert torch.allclose(mean, plain[0] + found.slope * found.prior(Z))
        assert torch.allclose(variance, plain[1])
    assert torch.allclose(
        process.posterior(Z)[0], process.condition_on_mean(Z[:1]).posterior(Z)[0], atol=1e-6
    )


def test_the_same_answer_twice() -> None:
    """Whatever the global random state is, and it is left as it was."""
    torch.manual_seed(1)
    before = torch.get_rng_state()
    several = (source("a"), source("b", count=20))
    first = fitted(8, *several, noise=0.05)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    again = fitted(8, *several, noise=0.05)
    assert weights_of(again) == weights_of(first) != {}
    assert error(again) == error(first)
    assert math.isclose(sum(weights_of(first).values()), 1.0)
