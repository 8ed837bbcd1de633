"""Suggest the next trials of a study. The engine's only door."""

import math
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import torch
from botorch.utils.multi_objective.pareto import is_non_dominated
from jaxtyping import Float64
from torch import Tensor

from api_schemas.search_space import Parameterization
from service.optimization.acquisition import (
    PendingPosterior,
    acquisition_function,
    feasible_rows,
    log_feasible,
)
from service.optimization.candidate_filter import CandidateFilter, augmented, augmented_codes, filter_after
from service.optimization.candidates import density_codes
from service.optimization.explanations import explain
from service.optimization.gaussian_process import Process, fit_process
from service.optimization.grid import Codes
from service.optimization.initial_design import design_size, next_in_design
from service.optimization.model_free import draw_new, likeliest_new
from service.optimization.modelled_part import modelled_part
from service.optimization.numerics import FIT_FAILURES
from service.optimization.outcomes import (
    observed_values,
    observed_variances,
    outcomes_of,
    reference_values,
)
from service.optimization.problem import Observation, Problem, Suggestion
from service.optimization.search import FRONT_POINTS, Search, maximise, maximise_among, spread_over
from service.optimization.surrogate import Surrogate, fit_surrogate
from service.optimization.warm_start_design import (
    learned_from,
    measured_sources,
    next_transferred,
    sources_suffice,
)

FEASIBILITY_DRAWS = 2048
"""Draws among which the likeliest to work is looked for."""

WHOLE_SEARCHES = 2
"""So many suggestions of a call have a search of their own; of a larger batch the first one has."""

Draw = Callable[..., Suggestion | None]


@dataclass(frozen=True)
class Model:
    """What was learned from the observations, fitted once for all suggestions of a call."""

    X: Float64[Tensor, "n dk"]
    Y: Float64[Tensor, "n m"]
    surrogate: Surrogate
    reference: Float64[Tensor, " objectives"]
    feasibility: Process | None


def suggest(
    problem: Problem,
    observations: Sequence[Observation],
    *,
    pending: Sequence[Parameterization],
    count: int,
    seed: int,
    time_limit_seconds: float = math.inf,
) -> list[Suggestion]:
    """Suggest up to `count` trials, best first; fewer only if the space holds nothing new.

    Nothing that is evaluated, pending or equivalent to either is suggested again. No modelled
    suggestion is begun after `time_limit_seconds`, and one that was begun ends with what it has by then:
    the rest are sampled, and say so. Until then the
    answer depends on the arguments alone; the global random state is left as it was.
    """
    deadline = time.monotonic() + time_limit_seconds
    allowed = filter_after(problem, observations, pending=pending)
    model = cache(partial(_fit, problem, observations, seed=seed, deadline=deadline))
    picked: list[Suggestion] = []
    shortlists: list[Codes] | None = [] if count > WHOLE_SEARCHES else None
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # BoTorch warns about numerics it then handles; what it cannot handle it raises.
        warnings.simplefilter("ignore")
        torch.manual_seed(seed)
        while len(picked) < count:
            waiting = [*pending, *(suggestion.parameterization for suggestion in picked)]
            position = len(observations) + len(waiting)
            suggestion = _next(
                allowed,
                observations,
                waiting,
                model=model,
                shortlists=shortlists,
                deadline=deadline,
                position=position,
                seed=seed,
            )
            if suggestion is None:
                break
            allowed.take(suggestion.parameterization)
            picked.append(suggestion)
    return picked


def _next(
    allowed: CandidateFilter,
    observations: Sequence[Observation],
    waiting: Sequence[Parameterization],
    *,
    model: Callable[[], Model],
    shortlists: list[Codes] | None,
    deadline: float,
    position: int,
    seed: int,
) -> Suggestion | None:
    problem = allowed.problem
    starting = allowed.keep(problem.starting_points)
    if starting:
        return Suggestion(starting[0], "starting_point")
    measured = [observation for observation in observations if observation.metrics is not None]
    late = time.monotonic() >= deadline
    # Asking former studies means modelling each of them.
    transferred = None if late else next_transferred(allowed, measured, position=position, deadline=deadline)
    if transferred is not None:
        return transferred
    draw = partial(_drawn, allowed, [*(one.parameterization for one in observations), *waiting])
    in_design = position < design_size(problem)
    if in_design and (late or not sources_suffice(problem, measured, seed=seed, deadline=deadline)):
        designed = next_in_design(allowed, position=position, seed=seed)
        if designed is not None:
            return Suggestion(designed, "initial_design")
        return draw(rng=_rng(seed, position), generated_by="initial_design")
    if late:
        return draw(rng=_rng(seed, position), generated_by="time_limit")
    if len(measured) < 2:
        return _likeliest_feasible(
            allowed, observations, draw, position=position, seed=seed, deadline=deadline
        )
    return _modelled(
        allowed, model, waiting, draw, shortlists=shortlists, position=position, deadline=deadline, seed=seed
    )


def _fit(problem: Problem, observations: Sequence[Observation], *, seed: int, deadline: float) -> Model:
    outcomes = outcomes_of(problem)
    observations = modelled_part(problem, observations, seed=seed)
    measured = [observation for observation in observations if observation.metrics is not None]
    X = augmented(problem, [observation.parameterization for observation in measured])
    Y = observed_values(outcomes, [observation.metrics for observation in measured if observation.metrics])
    return Model(
        X=X,
        Y=Y,
        surrogate=fit_surrogate(
            X,
            Y,
            outcomes=outcomes,
            variances=observed_variances(outcomes, measured),
            sources=measured_sources(problem, outcomes),
            seed=seed,
            deadline=deadline,
        ),
        reference=reference_values(problem, outcomes, Y),
        feasibility=_fit_feasibility(problem, observations, seed=seed, deadline=deadline),
    )


def _fit_feasibility(
    problem: Problem, observations: Sequence[Observation], *, seed: int, deadline: float
) -> Process | None:
    """Learn where trials prove infeasible, from 1 (it worked) and -1 (it did not)."""
    labels = [1.0 if observation.metrics is not None else -1.0 for observation in observations]
    if min(labels, default=1.0) > 0:
        return None
    X = augmented(problem, [observation.parameterization for observation in observations])
    encoded = X.shape[1] - sum(outcome.exact for outcome in outcomes_of(problem))
    told = torch.tensor(labels, dtype=torch.double)
    return fit_process(X[:, :encoded], told, variance=None, seed=seed, deadline=deadline)


def _likeliest_feasible(
    allowed: CandidateFilter,
    observations: Sequence[Observation],
    draw: Draw,
    *,
    position: int,
    seed: int,
    deadline: float,
) -> Suggestion | None:
    """Go where trials may work, as long as hardly any has: that much infeasible trials teach."""
    rng = _rng(seed, position)
    codes = density_codes(allowed.grid, FEASIBILITY_DRAWS, rng=rng)
    try:
        feasibility = _fit_feasibility(allowed.problem, observations, seed=seed, deadline=deadline)
    except FIT_FAILURES:
        feasibility = None
    if feasibility is None:
        return draw(rng=rng, generated_by="initial_design")
    X = augmented_codes(allowed.problem, allowed.grid, codes)
    chance = log_feasible(feasibility, feasibility.X.shape[1])(X)
    found = likeliest_new(allowed, codes, chance.numpy())
    return draw(rng=rng, generated_by="feasibility") if found is None else Suggestion(found, "feasibility")


def _drawn(
    allowed: CandidateFilter,
    known: list[Parameterization],
    *,
    rng: np.random.Generator,
    generated_by: str,
) -> Suggestion | None:
    new = draw_new(allowed, known=known, rng=rng)
    return None if new is None else Suggestion(new, generated_by)


def _modelled(
    allowed: CandidateFilter,
    fitted: Callable[[], Model],
    waiting: Sequence[Parameterization],
    draw: Draw,
    *,
    shortlists: list[Codes] | None,
    position: int,
    deadline: float,
    seed: int,
) -> Suggestion | None:
    problem, rng = allowed.problem, _rng(seed, position)
    started = time.perf_counter()
    try:
        model = fitted()
        fitted_at = time.perf_counter()
        believed = _believed(problem, model, waiting)
        acquisition, name = acquisition_function(
            believed,
            problem,
            reference=model.reference,
            feasibility=model.feasibility,
            seed=int(_rng(seed, position).integers(2**31)),
        )
        search = Search(problem, allowed, acquisition, rng, deadline)
        if shortlists:
            found = maximise_among(search, shortlists[-1])
        else:
            found = maximise(search, _front(problem, allowed, believed))
        found_at = time.perf_counter()
    except FIT_FAILURES:
        return draw(rng=rng, generated_by="fallback_random")
    if found is None:
        return draw(rng=rng, generated_by=name)
    if shortlists is not None:
        shortlists.append(found.shortlist)
    (chosen,) = allowed.grid.parameterizations(found.codes)
    explanation = explain(
        problem, chosen, surrogate=model.surrogate, Y=model.Y, acquisition_value=found.score, seed=seed
    )
    sources = learned_from(model.surrogate)
    if explanation is not None and sources:
        explanation = explanation.model_copy(update={"learned_from": sources})
    return Suggestion(
        chosen, name, explanation, fit_seconds=fitted_at - started, search_seconds=found_at - fitted_at
    )


def _believed(problem: Problem, model: Model, waiting: Sequence[Parameterization]) -> PendingPosterior:
    seen = len(model.X)
    X = torch.cat([model.X, augmented(problem, waiting)]) if waiting else model.X
    surrogate = model.surrogate.condition_on_mean(X[seen:]) if waiting else model.surrogate
    means = surrogate.means(X)
    feasible = feasible_rows(means, problem, surrogate.outcomes)
    return PendingPosterior(model.surrogate, surrogate, X, means, feasible, seen)


def _front(
    problem: Problem, allowed: CandidateFilter, believed: PendingPosterior
) -> Float64[np.ndarray, "n p"]:
    """Return members of the front that is believed in, spread along the last objective."""
    kept = believed.feasible if believed.feasible.any() else torch.ones_like(believed.feasible)
    values = believed.means[kept][:, : len(problem.objectives)]
    best = is_non_dominated(values)
    encoded = believed.X[kept][best][:, : believed.surrogate.encoded]
    codes = allowed.grid.decode(encoded.numpy())
    return spread_over(codes, values[best][:, -1].numpy(), count=FRONT_POINTS)


def _rng(seed: int, position: int) -> np.random.Generator:
    return np.random.default_rng([seed, position])
