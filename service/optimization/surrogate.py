"""One model for each outcome: a Gaussian process where it is measured, the value itself where it is known."""

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
    """What is believed of each outcome. A process reads the first `encoded` columns of a row."""

    outcomes: tuple[Outcome, ...]
    processes: tuple[Process | TransferProcess | None, ...]
    encoded: int

    def process(self, column: int) -> Process | TransferProcess:
        """Return the process of a measured outcome."""
        found = self.processes[column]
        assert found is not None  # noqa: S101  known outcomes are never asked for
        return found

    def means(self, X: Float64[Tensor, "n dk"]) -> Float64[Tensor, "n m"]:
        """Return the posterior mean of each outcome, and the value of the known ones."""
        known = iter(range(self.encoded, X.shape[1]))
        return torch.stack(
            [
                X[:, next(known)] if process is None else process.posterior(X[:, : self.encoded])[0]
                for process in self.processes
            ],
            dim=1,
        )

    def condition_on_mean(self, X: Float64[Tensor, "q dk"]) -> "Surrogate":
        """Take rows as observed at their own mean."""
        rows = X[:, : self.encoded]
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
    """Fit a surrogate over augmented rows: d encoded columns, then the k known outcomes.

    The noise of an outcome is what `variances` (m of them) says, and inferred where that is None.
    `sources` has what former studies observed of a metric. What is not fitted by `deadline`, on the
    monotonic clock, keeps what its hyperparameters are by then.

    Raises:
        numpy.linalg.LinAlgError: If a covariance is not positive definite.
    """
    encoded = X.shape[1] - sum(outcome.exact for outcome in outcomes)
    processes = [
        None
        if outcome.exact
        else fit_with_sources(
            X[:, :encoded],
            without_lower_tail(y, limits=outcome.limits),
            variance=None if variance is None else variance.squeeze(1),
            sources=sources.get(outcome.metric, ()),
            seed=seed,
            deadline=deadline,
        )
        for outcome, y, variance in zip(outcomes, Y.T, variances, strict=True)
    ]
    return Surrogate(tuple(outcomes), tuple(processes), encoded)


def without_lower_tail(y: Float64[Tensor, " n"], *, limits: Sequence[float] = ()) -> Float64[Tensor, " n"]:
    """Pull outcomes in the lower tail up to where it begins (outcomes are maximised).

    None is pulled across a limit: there it stays as far on its own side as the outcomes spread.
    """
    start, spread = lower_tail(y.numpy(), spreads=MODELLED_SPREADS)
    raised = y.clamp_min(start)
    for limit in limits:
        across = (y <= limit) & (raised >= limit)
        raised = torch.where(across, torch.maximum(y, raised.clamp_max(limit - spread)), raised)
    return raised


def as_botorch(surrogate: Surrogate) -> ModelList:
    """Return the same beliefs as a BoTorch model list over augmented rows, nothing fitted again."""
    models: list[Model] = []
    known_column = surrogate.encoded
    for process in surrogate.processes:
        if process is None:
            models.append(_column_model(known_column))
            known_column += 1
        else:
            # With many objectives the sources are not asked: a list of BoTorch models knows none.
            models.append(_single_task(process if isinstance(process, Process) else process.plain))
    return ModelList(*models)


def _single_task(process: Process) -> SingleTaskGP:
    raw = (process.shift + process.scale * process.y).unsqueeze(1)
    encoded = process.X.shape[1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about inputs that are not scaled: all of them lie in the cube
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
