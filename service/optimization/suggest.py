"""Suggest the next trials of a study. The engine's only door."""

import random
import warnings
from collections.abc import Sequence

import torch
from botorch.acquisition import AcquisitionFunction
from botorch.utils.multi_objective.pareto import is_non_dominated

from api_schemas.search_space import Parameterization
from service.optimization.acquisition import acquisition_function, score
from service.optimization.candidates import density_sample, enumerate_space, mutation, neighbours
from service.optimization.initial_design import design_size, next_in_design
from service.optimization.numerics import FIT_FAILURES
from service.optimization.outcomes import (
    observed_values,
    observed_variances,
    outcomes_of,
    reference_values,
)
from service.optimization.pool import Admission, augmented
from service.optimization.problem import Observation, Problem, Suggestion
from service.optimization.surrogate import fit_surrogate
from service.optimization.transferred_design import (
    learned_from,
    measured_sources,
    next_transferred,
    sources_suffice,
)

SMALL_SPACE = 2048
"""A space with no more combinations is searched whole."""

DENSITY_DRAWS = 384
MUTATIONS = 256
LOCAL_STARTS = 4
LOCAL_ROUNDS = 4
SEARCH_EFFORT = 20_000
"""Random draws after which a space too large to list counts as exhausted."""


def suggest(
    problem: Problem,
    observations: Sequence[Observation],
    *,
    pending: Sequence[Parameterization],
    count: int,
    seed: int,
) -> list[Suggestion]:
    """Suggest up to `count` trials; fewer only if the space holds nothing new.

    Nothing that is evaluated, pending or equivalent to either is suggested again. The answer
    depends on the arguments alone; the global random state is left as it was.
    """
    admission = Admission(problem)
    for observation in observations:
        admission.take(observation.parameterization)
    for parameterization in pending:
        admission.take(parameterization)
    picked: list[Suggestion] = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        while len(picked) < count:
            waiting = [*pending, *(suggestion.parameterization for suggestion in picked)]
            suggestion = _next(problem, admission, observations, waiting, seed=seed)
            if suggestion is None:
                break
            admission.take(suggestion.parameterization)
            picked.append(suggestion)
    return picked


def _next(
    problem: Problem,
    admission: Admission,
    observations: Sequence[Observation],
    waiting: Sequence[Parameterization],
    *,
    seed: int,
) -> Suggestion | None:
    starting = admission.admit(problem.starting_points)
    if starting:
        return Suggestion(starting[0], "starting_point")
    position = len(observations) + len(waiting)
    measured = [observation for observation in observations if observation.metrics is not None]
    transferred = next_transferred(problem, admission, measured, position=position, seed=seed)
    if transferred is not None:
        return transferred
    designing = position < design_size(problem) and not sources_suffice(problem, measured, seed=seed)
    if designing or len(measured) < 2:
        designed = next_in_design(problem, admission, position=position, seed=seed)
        if designed is not None:
            return Suggestion(designed, "initial_design")
        return _random(problem, admission, rng=_rng(seed, position), generated_by="initial_design")
    try:
        return _modelled(problem, admission, measured, waiting, rng=_rng(seed, position), seed=seed)
    except FIT_FAILURES:
        return _random(problem, admission, rng=_rng(seed, position), generated_by="fallback_random")


def _modelled(
    problem: Problem,
    admission: Admission,
    measured: Sequence[Observation],
    waiting: Sequence[Parameterization],
    *,
    rng: random.Random,
    seed: int,
) -> Suggestion | None:
    outcomes = outcomes_of(problem)
    X = augmented(problem, [observation.parameterization for observation in measured])
    Y = observed_values(outcomes, [observation.metrics for observation in measured if observation.metrics])
    with warnings.catch_warnings():
        # BoTorch warns about numerics it then handles; what it cannot handle it raises.
        warnings.simplefilter("ignore")
        model = fit_surrogate(
            X,
            Y,
            outcomes=outcomes,
            variances=observed_variances(outcomes, measured),
            sources=measured_sources(problem, outcomes),
            seed=seed,
        )
        acquisition = acquisition_function(
            model,
            problem,
            outcomes=outcomes,
            X=X,
            X_pending=augmented(problem, waiting) if waiting else None,
            reference=reference_values(problem, outcomes, Y),
            seed=seed,
        )
        best = is_non_dominated(Y[:, : len(problem.objectives)])
        front = [
            observation.parameterization
            for observation, on_front in zip(measured, best.tolist(), strict=True)
            if on_front
        ]
        pool = _pool(problem, admission, front, rng=rng)
        if not pool:
            return None
        generated_by = "qlognei" if len(problem.objectives) == 1 else "qlognehvi"
        best_found = _maximise(problem, admission, acquisition, pool, rng=rng)
        return Suggestion(best_found, generated_by, learned_from(model))


def _maximise(
    problem: Problem,
    admission: Admission,
    acquisition: AcquisitionFunction,
    pool: list[Parameterization],
    *,
    rng: random.Random,
) -> Parameterization:
    values = score(acquisition, augmented(problem, pool)).tolist()
    ranked = sorted(zip(values, range(len(pool)), pool, strict=True), key=lambda item: (-item[0], item[1]))
    best = ranked[:LOCAL_STARTS]
    for _ in range(LOCAL_ROUNDS):
        around = admission.admit(
            neighbour
            for _, _, parameterization in best
            for neighbour in neighbours(problem.search_space, parameterization, rng=rng)
        )
        if not around:
            break
        values = score(acquisition, augmented(problem, around)).tolist()
        found = sorted(
            [*best, *zip(values, range(len(around)), around, strict=True)],
            key=lambda item: (-item[0], item[1]),
        )
        improved = found[0][0] > best[0][0]
        best = found[:LOCAL_STARTS]
        if not improved:
            break
    return best[0][2]


def _pool(
    problem: Problem, admission: Admission, front: Sequence[Parameterization], *, rng: random.Random
) -> list[Parameterization]:
    space = problem.search_space
    listed = enumerate_space(space, limit=SMALL_SPACE)
    if listed is not None:
        return admission.admit(listed)
    drawn = density_sample(space, DENSITY_DRAWS, rng=rng)
    mutated = [mutation(space, rng.choice(front), rng=rng) for _ in range(MUTATIONS)]
    near = [neighbour for point in front for neighbour in neighbours(space, point, rng=rng)]
    pool = admission.admit([*near, *mutated, *drawn])
    return pool or _new_draws(problem, admission, rng=rng)


def _random(
    problem: Problem, admission: Admission, *, rng: random.Random, generated_by: str
) -> Suggestion | None:
    listed = enumerate_space(problem.search_space, limit=SMALL_SPACE)
    new = _new_draws(problem, admission, rng=rng) if listed is None else admission.admit(listed)
    return Suggestion(rng.choice(new), generated_by) if new else None


def _new_draws(problem: Problem, admission: Admission, *, rng: random.Random) -> list[Parameterization]:
    for _ in range(0, SEARCH_EFFORT, 1000):
        new = admission.admit(density_sample(problem.search_space, 1000, rng=rng))
        if new:
            return new
    return []


def _rng(seed: int, position: int) -> random.Random:
    return random.Random(f"{seed}/{position}")  # noqa: S311  a search, not a secret
