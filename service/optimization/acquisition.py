"""How much a candidate is worth, given observations and pending trials.

Several objectives: log noisy expected hypervolume improvement (Ament and others 2023, arXiv
2310.20708). One objective: log noisy expected improvement. Known outcomes enter as they are.
"""

from collections.abc import Callable, Sequence

import torch
from botorch.acquisition import AcquisitionFunction
from botorch.acquisition.logei import qLogNoisyExpectedImprovement
from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
from botorch.acquisition.multi_objective.objective import IdentityMCMultiOutputObjective
from botorch.acquisition.objective import LinearMCObjective
from botorch.models.model import ModelList
from botorch.sampling import ListSampler, SobolQMCNormalSampler
from botorch.sampling.index_sampler import IndexSampler
from jaxtyping import Float64
from torch import Tensor

from service.optimization.outcomes import Outcome, signed_bound
from service.optimization.problem import Problem

SAMPLES = 64
CHUNK = 256
"""Candidates scored at a time: bounds memory, changes no value."""


def acquisition_function(
    model: ModelList,
    problem: Problem,
    *,
    outcomes: Sequence[Outcome],
    X: Float64[Tensor, "n dk"],
    X_pending: Float64[Tensor, "q dk"] | None,
    reference: Float64[Tensor, " objectives"],
    seed: int,
) -> AcquisitionFunction:
    """Build the acquisition function over augmented rows."""
    samples = torch.Size([SAMPLES])
    sampler = ListSampler(
        *(
            IndexSampler(samples, seed=seed)
            if outcome.known
            else SobolQMCNormalSampler(samples, seed=seed + column)
            for column, outcome in enumerate(outcomes)
        )
    )
    constraints = _constraints(problem, outcomes) or None
    count = len(problem.objectives)
    if count == 1:
        weights = torch.zeros(len(outcomes), dtype=torch.double)
        weights[0] = 1.0
        return qLogNoisyExpectedImprovement(
            model,
            X_baseline=X,
            sampler=sampler,
            objective=LinearMCObjective(weights),
            constraints=constraints,
            X_pending=X_pending,
            prune_baseline=True,
            cache_root=False,
        )
    return qLogNoisyExpectedHypervolumeImprovement(
        model,
        ref_point=reference,
        X_baseline=X,
        sampler=sampler,
        objective=IdentityMCMultiOutputObjective(outcomes=list(range(count))),
        constraints=constraints,
        X_pending=X_pending,
        prune_baseline=True,
        cache_root=False,
    )


@torch.no_grad()
def score(acquisition: AcquisitionFunction, X: Float64[Tensor, "n dk"]) -> Float64[Tensor, " n"]:
    """Evaluate the acquisition function at each row alone."""
    return torch.cat([acquisition(part.unsqueeze(1)) for part in torch.split(X, CHUNK)])


def _constraints(problem: Problem, outcomes: Sequence[Outcome]) -> list[Callable[[Tensor], Tensor]]:
    columns = {outcome.metric: column for column, outcome in enumerate(outcomes)}

    def bounded(column: int, sign: float, offset: float) -> Callable[[Tensor], Tensor]:
        return lambda Z: sign * Z[..., column] + offset

    return [
        bounded(
            columns[constraint.metric],
            *signed_bound(outcomes[columns[constraint.metric]], constraint.op, constraint.bound),
        )
        for constraint in problem.constraints
    ]
