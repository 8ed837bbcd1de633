"""One model for each outcome: a Gaussian process where it is measured, the value itself where it is exact."""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import torch
from botorch.models import SingleTaskGP
from botorch.models.deterministic import GenericDeterministicModel
from botorch.models.model import Model, ModelList
from botorch.models.transforms.input import FilterFeatures
from botorch.models.transforms.outcome import Standardize
from jaxtyping import Float64
from torch import Tensor

from service.clipping import MODELLED_SPREADS, lower_tail
from service.optimization.gaussian_process import Process
from service.optimization.outcomes import Outcome
from service.optimization.transfer import SourceObservations, TransferProcess, fit_with_sources


@dataclass(frozen=True)
class Surrogate:
    """A model of every outcome. A process reads the first `features` columns of a row."""

    outcomes: tuple[Outcome, ...]
    processes: tuple[Process | TransferProcess | None, ...]
    features: int

    def process(self, column: int) -> Process | TransferProcess:
        """Return the process of a measured outcome."""
        process = self.processes[column]
        assert process is not None  # noqa: S101  an exact outcome has none
        return process

    def means(self, X: Float64[Tensor, "n dk"]) -> Float64[Tensor, "n m"]:
        """Return the posterior mean of each measured outcome, and the value of each exact one."""
        exact = iter(range(self.features, X.shape[1]))
        return torch.stack(
            [
                X[:, next(exact)] if process is None else process.posterior(X[:, : self.features])[0]
                for process in self.processes
            ],
            dim=1,
        )

    def condition_on_mean(self, X: Float64[Tensor, "q dk"]) -> "Surrogate":
        """Return the surrogate after observing each row at its posterior mean."""
        rows = X[:, : self.features]
        return replace(
            self,
            processes=tuple(
                None if process is None else process.condition_on_mean(rows) for process in self.processes
            ),
        )


def fit_surrogate(
    X: Float64[Tensor, "n dk"],
    Y: Float64[Tensor, "n m"],
    *,
    outcomes: Sequence[Outcome],
    variances: Sequence[Float64[Tensor, "n 1"] | None],
    sources: Mapping[str, Sequence[SourceObservations]] = MappingProxyType({}),
    seed: int,
    deadline: float = math.inf,
) -> Surrogate:
    """Fit a surrogate to rows: d features, then the k exact outcomes.

    `variances` has the noise variances of each of the m outcomes; None means that they are inferred.
    `sources` has what former studies observed of a metric. A fit that reaches `deadline`, on the monotonic
    clock, keeps the hyperparameters it has by then.

    Raises:
        numpy.linalg.LinAlgError: If a covariance is not positive definite.
    """
    features = X.shape[1] - sum(outcome.exact for outcome in outcomes)
    processes = [
        None
        if outcome.exact
        else fit_with_sources(
            X[:, :features],
            without_lower_tail(y, limits=outcome.limits),
            variance=None if variance is None else variance.squeeze(1),
            sources=sources.get(outcome.metric, ()),
            seed=seed,
            deadline=deadline,
        )
        for outcome, y, variance in zip(outcomes, Y.T, variances, strict=True)
    ]
    return Surrogate(tuple(outcomes), tuple(processes), features)


def without_lower_tail(y: Float64[Tensor, " n"], *, limits: Sequence[float] = ()) -> Float64[Tensor, " n"]:
    """Pull outcomes in the lower tail up to where it begins (outcomes are maximised).

    No outcome is pulled across a limit: it stays one spread away on its own side.
    """
    start, spread = lower_tail(y.numpy(), spreads=MODELLED_SPREADS)
    raised = y.clamp_min(start)
    for limit in limits:
        across = (y <= limit) & (raised >= limit)
        raised = torch.where(across, torch.maximum(y, raised.clamp_max(limit - spread)), raised)
    return raised


def as_botorch(surrogate: Surrogate) -> ModelList:
    """Return the same posterior as a BoTorch model list; nothing is fitted again."""
    models: list[Model] = []
    exact_column = surrogate.features
    for process in surrogate.processes:
        if process is None:
            models.append(_column_model(exact_column))
            exact_column += 1
        else:
            # A BoTorch model list has no sources: with many objectives they are left out.
            models.append(_single_task(process if isinstance(process, Process) else process.plain))
    return ModelList(*models)


def _single_task(process: Process) -> SingleTaskGP:
    raw = (process.shift + process.scale * process.y).unsqueeze(1)
    encoded = process.X.shape[1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about unscaled inputs: all of them lie in the unit cube
        model = SingleTaskGP(
            process.X,
            raw,
            train_Yvar=(process.noise * process.scale**2).unsqueeze(1),
            outcome_transform=Standardize(m=1),
            input_transform=FilterFeatures(feature_indices=torch.arange(encoded)),
        )
    model.covar_module.lengthscale = process.lengthscales
    model.mean_module.initialize(constant=process.mean)
    return model.eval()


def _column_model(column: int) -> GenericDeterministicModel:
    return GenericDeterministicModel(lambda X: X[..., column : column + 1])
