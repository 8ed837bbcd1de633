"""AutoPEFT's published recipe (Zhou and others 2024, arXiv 2301.12132), for comparison.

Random trials first. Then, for every objective, known ones included: a Gaussian process with the SAAS
prior (Eriksson and Jankowiak 2021), sampled by NUTS, on outcomes put through a Gaussian copula; noisy
expected hypervolume improvement, one pick after another, by local search from neighbours of the
front. Sizes are those of the published program. What differs from it:

- The configuration that the search ends at is the one proposed. The program proposes the one that
  the search started from, and afterwards takes the result for that of the other.
- Nothing is proposed twice. A neighbour differs in one parameter; the program's is a random walk.
- The program models no constraints. Here they enter the acquisition function, as BoTorch offers it.
"""

import math
import random
import warnings
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import torch
from botorch.acquisition import AcquisitionFunction
from botorch.acquisition.monte_carlo import qExpectedImprovement
from botorch.acquisition.multi_objective.monte_carlo import qNoisyExpectedHypervolumeImprovement
from botorch.acquisition.multi_objective.objective import IdentityMCMultiOutputObjective
from botorch.acquisition.objective import LinearMCObjective
from botorch.fit import fit_fully_bayesian_model_nuts
from botorch.models import ModelListGP
from botorch.models.fully_bayesian import SaasFullyBayesianSingleTaskGP
from botorch.posteriors.fully_bayesian import MCMC_DIM
from botorch.sampling import SobolQMCNormalSampler
from botorch.utils.multi_objective.pareto import is_non_dominated
from jaxtyping import Float64
from torch import Tensor

from api_schemas.search_space import Parameterization
from service.optimization.candidate_filter import CandidateFilter
from service.optimization.candidates import neighbour_codes
from service.optimization.numerics import FIT_FAILURES
from service.optimization.outcomes import (
    Outcome,
    limits_of,
    observed_values,
    outcomes_of,
    reference_values,
)
from service.optimization.problem import Observation, Problem, Suggestion
from service.optimization.proposers.even_draws import even_draws
from service.optimization.proposers.in_turn import first_new, generator, suggest_in_turn

RANDOM_TRIALS = 20
"""The program's default. The paper's runs start with 100 random trials of 200."""

WARMUP_STEPS = 128
NUTS_SAMPLES = 64
THINNING = 4
MONTE_CARLO_SAMPLES = 128
STARTS = 10
EVALUATIONS = 2000
"""Acquisition values of one pick, over all starts."""

CHUNK = 32
"""Candidates scored at a time: bounds memory, changes no value."""

SHORTEST_TAIL = 1e-4
"""Quantiles are clamped this far from 0 and 1, where the normal quantile is infinite."""


def suggest(
    problem: Problem,
    observations: Sequence[Observation],
    *,
    pending: Sequence[Parameterization],
    count: int,
    seed: int,
    time_limit_seconds: float = math.inf,  # noqa: ARG001  every proposer is called alike
) -> list[Suggestion]:
    """Suggest up to `count` trials. The models are fitted once, whatever `count` is.

    No time limit is kept: a fit takes longer than most, and what is drawn instead is not the recipe.
    """
    measured = [observation for observation in observations if observation.metrics is not None]

    @cache
    def fitted() -> AcquisitionFunction:
        return _acquisition(problem, measured, seed=seed)

    def pick(allowed: CandidateFilter, waiting: Sequence[Parameterization]) -> Parameterization | None:
        space = problem.search_space
        rng = generator("autopeft_reference", seed, len(observations) + len(waiting))
        if len(observations) < RANDOM_TRIALS or len(measured) < 2:
            return first_new(allowed, lambda size: even_draws(space, size, rng=rng))
        try:
            with warnings.catch_warnings():
                # BoTorch warns about numerics it then handles; what it cannot handle it raises.
                warnings.simplefilter("ignore")
                acquisition = fitted()
                acquisition.set_X_pending(_encoded(problem, waiting) if waiting else None)
                return _local_search(problem, allowed, acquisition, _front(problem, measured), rng=rng)
        except FIT_FAILURES:
            return None

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return suggest_in_turn(
            pick,
            problem,
            observations,
            pending=pending,
            count=count,
            seed=seed,
            time_limit_seconds=math.inf,
            generated_by="autopeft_reference",
        )


def gaussian_copula(Y: Float64[Tensor, "n m"], at: Float64[Tensor, "k m"]) -> Float64[Tensor, "k m"]:
    """Map values to the normal quantiles of their places in the empirical distribution of `Y`."""
    shares = (Y.unsqueeze(0) <= at.unsqueeze(1)).double().mean(dim=1)
    quantiles: Tensor = torch.special.ndtri(shares.clamp(SHORTEST_TAIL, 1 - SHORTEST_TAIL))
    return quantiles


def _acquisition(problem: Problem, measured: Sequence[Observation], *, seed: int) -> AcquisitionFunction:
    outcomes = outcomes_of(problem)
    X = _encoded(problem, [observation.parameterization for observation in measured])
    Y = observed_values(outcomes, [observation.metrics for observation in measured if observation.metrics])
    Z = gaussian_copula(Y, Y)
    models = [SaasFullyBayesianSingleTaskGP(X, Z[:, column : column + 1]) for column in range(len(outcomes))]
    for column, model in enumerate(models):
        fit_fully_bayesian_model_nuts(
            model,
            warmup_steps=WARMUP_STEPS,
            num_samples=NUTS_SAMPLES,
            thinning=THINNING,
            disable_progbar=True,
            seed=seed + column,
        )
    return _improvement(ModelListGP(*models), problem, outcomes, X=X, Y=Y, seed=seed)


def _improvement(
    model: ModelListGP,
    problem: Problem,
    outcomes: Sequence[Outcome],
    *,
    X: Float64[Tensor, "n d"],
    Y: Float64[Tensor, "n m"],
    seed: int,
) -> AcquisitionFunction:
    sampler = SobolQMCNormalSampler(torch.Size([MONTE_CARLO_SAMPLES]), seed=seed)
    constraints = _constraints(problem, outcomes, Y) or None
    count = len(problem.objectives)
    Z = gaussian_copula(Y, Y)
    if count == 1:
        feasible = torch.ones(len(Z), dtype=torch.bool)
        for violation in constraints or ():
            feasible &= violation(Z) <= 0
        return qExpectedImprovement(
            model,
            best_f=Z[feasible, 0].max() if feasible.any() else Z[:, 0].min(),
            sampler=sampler,
            objective=LinearMCObjective(torch.eye(len(outcomes), dtype=torch.double)[0]),
            constraints=constraints,
        )
    reference = reference_values(problem, outcomes, Y)
    return qNoisyExpectedHypervolumeImprovement(
        model,
        ref_point=gaussian_copula(Y[:, :count], reference.unsqueeze(0)).squeeze(0),
        X_baseline=X,
        sampler=sampler,
        objective=IdentityMCMultiOutputObjective(outcomes=list(range(count))),
        constraints=constraints,
        prune_baseline=True,
        marginalize_dim=MCMC_DIM,
    )


def _constraints(
    problem: Problem, outcomes: Sequence[Outcome], Y: Float64[Tensor, "n m"]
) -> list[Callable[[Tensor], Tensor]]:
    def bounded(column: int, sign: float, offset: float) -> Callable[[Tensor], Tensor]:
        bound = torch.full((1, 1), -offset / sign, dtype=torch.double)
        place = gaussian_copula(Y[:, column : column + 1], bound)
        return lambda Z: sign * (Z[..., column] - place.squeeze())

    return [bounded(*limit) for limit in limits_of(problem, outcomes)]


def _encoded(problem: Problem, parameterizations: Sequence[Parameterization]) -> Float64[Tensor, "n d"]:
    return torch.from_numpy(problem.grid.encode(problem.grid.codes(parameterizations)))


def _front(problem: Problem, measured: Sequence[Observation]) -> list[Parameterization]:
    outcomes = outcomes_of(problem)[: len(problem.objectives)]
    Y = observed_values(outcomes, [observation.metrics for observation in measured if observation.metrics])
    best = is_non_dominated(Y).tolist()
    return [
        observation.parameterization for observation, on_front in zip(measured, best, strict=True) if on_front
    ]


def _local_search(
    problem: Problem,
    allowed: CandidateFilter,
    acquisition: AcquisitionFunction,
    front: Sequence[Parameterization],
    *,
    rng: random.Random,
) -> Parameterization | None:
    def values(parameterizations: Sequence[Parameterization]) -> list[float]:
        with torch.no_grad():
            rows = torch.split(_encoded(problem, parameterizations), CHUNK)
            found: list[float] = torch.cat([acquisition(part.unsqueeze(1)) for part in rows]).tolist()
        return found

    current = _starts(problem, allowed, front, rng=rng)
    best = values(current) if current else []
    left = EVALUATIONS - len(current)
    while left > 0 and current:
        around = [
            (start, neighbour)
            for start, parameterization in enumerate(current)
            for neighbour in _some_neighbours(problem, allowed, parameterization, rng=rng)
        ]
        if not around:
            break
        left -= len(around)
        for (start, neighbour), value in zip(
            around, values([neighbour for _, neighbour in around]), strict=True
        ):
            if value > best[start]:
                current[start], best[start] = neighbour, value
    return current[max(range(len(best)), key=best.__getitem__)] if current else None


def _starts(
    problem: Problem,
    allowed: CandidateFilter,
    front: Sequence[Parameterization],
    *,
    rng: random.Random,
) -> list[Parameterization]:
    around = [neighbour for point in front for neighbour in _neighbours(problem, point, rng=rng)]
    starts = allowed.keep(rng.sample(around, min(STARTS, len(around))))
    return starts + allowed.keep(even_draws(problem.search_space, STARTS - len(starts), rng=rng))


def _some_neighbours(
    problem: Problem,
    allowed: CandidateFilter,
    parameterization: Parameterization,
    *,
    rng: random.Random,
) -> list[Parameterization]:
    around = _neighbours(problem, parameterization, rng=rng)
    return allowed.keep(rng.sample(around, min(len(problem.search_space.parameters), len(around))))


def _neighbours(
    problem: Problem, parameterization: Parameterization, *, rng: random.Random
) -> list[Parameterization]:
    grid, numbers = problem.grid, np.random.default_rng(rng.getrandbits(64))
    return grid.parameterizations(neighbour_codes(grid, grid.codes([parameterization]), rng=numbers))
