"""One model for each outcome: a Gaussian process where it is measured, the value itself where it is known."""

import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType

import torch
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from botorch.models.deterministic import GenericDeterministicModel
from botorch.models.model import Model, ModelList
from botorch.models.transforms.input import FilterFeatures
from botorch.models.transforms.outcome import Standardize
from gpytorch.mlls import ExactMarginalLogLikelihood
from jaxtyping import Float64
from torch import Tensor

from service.optimization.outcomes import Outcome
from service.optimization.transfer import SourceObservations, fit_with_sources

FIT_ITERATIONS = 75
"""L-BFGS steps. Uncapped fits ran for hundreds, at nine tenths of the time of a suggestion."""


def fit_surrogate(
    X: Float64[Tensor, "n dk"],
    Y: Float64[Tensor, "n m"],
    *,
    outcomes: Sequence[Outcome],
    variances: Sequence[Float64[Tensor, "n 1"] | None],
    sources: Mapping[str, Sequence[SourceObservations]] = MappingProxyType({}),
    seed: int = 0,
) -> ModelList:
    """Fit a model list over augmented rows: d encoded columns, then the k known outcomes.

    The noise of an outcome is what `variances` (m of them) says, and inferred where that is None.
    `sources` has what former studies observed of a metric.

    Raises:
        ModelFittingError: If no fit of a Gaussian process converges.
    """
    encoded = X.shape[1] - sum(outcome.known for outcome in outcomes)
    models: list[Model] = []
    known_column = encoded
    for column, outcome in enumerate(outcomes):
        if outcome.known:
            models.append(_column_model(known_column))
            known_column += 1
        else:
            fit = partial(_fit_process, X, variance=variances[column], encoded=encoded)
            former = sources.get(outcome.metric, ())
            models.append(fit_with_sources(X, Y[:, column : column + 1], fit=fit, sources=former, seed=seed))
    return ModelList(*models)


def _fit_process(
    X: Float64[Tensor, "n dk"],
    y: Float64[Tensor, "n 1"],
    *,
    variance: Float64[Tensor, "n 1"] | None,
    encoded: int,
) -> SingleTaskGP:
    process = SingleTaskGP(
        X,
        y,
        train_Yvar=variance,
        outcome_transform=Standardize(m=1),
        input_transform=FilterFeatures(feature_indices=torch.arange(encoded)),
    )
    with warnings.catch_warnings():
        # A capped fit says that it stopped early; that is what it was asked to do.
        warnings.simplefilter("ignore")
        fit_gpytorch_mll(
            ExactMarginalLogLikelihood(process.likelihood, process),
            optimizer_kwargs={"options": {"maxiter": FIT_ITERATIONS}},
        )
    return process


def _column_model(column: int) -> GenericDeterministicModel:
    return GenericDeterministicModel(lambda X: X[..., column : column + 1])
