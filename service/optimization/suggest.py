"""Suggest the next trials of a study. The engine's only door."""

import math
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from botorch.utils.multi_objective.pareto import is_non_dominated
from torch import Tensor

from api_schemas.search_space import Parameterization
from service.optimization.acquisition import PendingPosterior, acquisition_function, log_feasible
from service.optimization.candidate_filter import CandidateFilter, filter_after
from service.optimization.candidates import density_codes
from service.optimization.encoded_problem import EncodedProblem
from service.optimization.explanations import explain
from service.optimization.gaussian_process import Process, fit_process
from service.optimization.grid import Codes
from service.optimization.initial_design import design_size, next_in_design
from service.optimization.model_free import draw_new, likeliest_new
from service.optimization.numerics import FIT_FAILURES
from service.optimization.outcomes import keeps_limits
from service.optimization.problem import Observation, Problem, Suggestion
from service.optimization.representatives import spread_over
from service.optimization.search import FRONT_POINTS, Search, maximise, maximise_among
from service.optimization.surrogate import Surrogate, fit_surrogate
from service.optimization.warm_start_design import learned_from, next_transferred, sources_suffice

FEASIBILITY_DRAWS = 2048
"""Draws among which the one that is likeliest to be feasible is chosen."""

WHOLE_SEARCHES = 2
"""Up to this many suggestions of a call have a whole search each; of a larger batch only the first one."""


@dataclass(frozen=True)
class Model:
    """What was fitted to the observations."""

    surrogate: Surrogate
    feasibility: Process | None


@dataclass(frozen=True)
class Call:
    """One call of `suggest`: what every suggestion of it is made from."""

    encoded: EncodedProblem
    allowed: CandidateFilter
    deadline: float
    shortlists: list[Codes] | None
    """Of a batch, the candidates that its searches shared so far; None if each suggestion searches anew."""

    @cached_property
    def model(self) -> Model:
        """The model, fitted once for all suggestions of the call."""
        encoded = self.encoded
        surrogate = fit_surrogate(
            encoded.X,
            encoded.Y,
            outcomes=encoded.outcomes,
            variances=encoded.variances,
            sources=encoded.sources,
            seed=encoded.seed,
            deadline=self.deadline,
        )
        return Model(surrogate, self.feasibility)

    @cached_property
    def feasibility(self) -> Process | None:
        """Where trials prove infeasible, fitted once; None if none has."""
        return _fit_feasibility(self.encoded, deadline=self.deadline)

    def rng(self, position: int) -> np.random.Generator:
        """Return the random numbers of the suggestion at a position."""
        return np.random.default_rng([self.encoded.seed, position])


def suggest(
    problem: Problem,
    observations: Sequence[Observation],
    *,
    pending: Sequence[Parameterization],
    count: int,
    seed: int,
    time_limit_seconds: float = math.inf,
) -> list[Suggestion]:
    """Return up to `count` suggestions, best first; fewer only if the space holds nothing new.

    Nothing that is evaluated, pending, excluded or equivalent to one of these is suggested again. After
    `time_limit_seconds` no model is asked any more, and a search in progress stops with the best so far; the
    rest are random draws with `generated_by` "time_limit". Within the limit the result depends on the
    arguments alone. The global random state is left unchanged.
    """
    call = Call(
        EncodedProblem(problem, observations, seed),
        filter_after(problem, observations, pending=pending),
        time.monotonic() + time_limit_seconds,
        [] if count > WHOLE_SEARCHES else None,
    )
    picked: list[Suggestion] = []
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # BoTorch warns about numerics it then handles; what it cannot handle it raises.
        warnings.simplefilter("ignore")
        torch.manual_seed(seed)
        while len(picked) < count:
            waiting = [*pending, *(suggestion.parameterization for suggestion in picked)]
            suggestion = _next(call, waiting)
            if suggestion is None:
                break
            call.allowed.take(suggestion.parameterization)
            picked.append(suggestion)
    return picked


def _next(call: Call, waiting: Sequence[Parameterization]) -> Suggestion | None:
    """Return the suggestion that follows those that are `waiting` for a result."""
    encoded, allowed, deadline = call.encoded, call.allowed, call.deadline
    position = len(encoded.observations) + len(encoded.problem.excluded) + len(waiting)
    starting = allowed.keep(encoded.problem.starting_points)
    if starting:
        return Suggestion(starting[0], "starting_point")
    late = time.monotonic() >= deadline
    # The sources cost a model each.
    transferred = None if late else next_transferred(encoded, allowed, position=position, deadline=deadline)
    if transferred is not None:
        return transferred
    in_design = position < design_size(encoded.problem.grid)
    if in_design and (late or not sources_suffice(encoded, deadline=deadline)):
        designed = next_in_design(encoded, allowed, position=position)
        if designed is not None:
            return Suggestion(designed, "initial_design")
        return _drawn(call, waiting, rng=call.rng(position), generated_by="initial_design")
    if late:
        return _drawn(call, waiting, rng=call.rng(position), generated_by="time_limit")
    if sum(observation.metrics is not None for observation in encoded.observations) < 2:
        return _likeliest_feasible(call, waiting, rng=call.rng(position))
    return _modelled(call, waiting, position=position)


def _fit_feasibility(encoded: EncodedProblem, *, deadline: float) -> Process | None:
    """Learn where trials prove infeasible, from labels 1 (it ran) and -1 (it did not)."""
    if encoded.worked.all():
        return None
    labels = torch.where(encoded.worked, 1.0, -1.0).double()
    X = encoded.rows[:, : encoded.features]
    return fit_process(X, labels, variance=None, seed=encoded.seed, deadline=deadline)


def _likeliest_feasible(
    call: Call, waiting: Sequence[Parameterization], *, rng: np.random.Generator
) -> Suggestion | None:
    """Suggest what is most probably feasible, while too few trials have run to model the outcomes."""
    encoded = call.encoded
    codes = density_codes(encoded.problem.grid, FEASIBILITY_DRAWS, rng=rng)
    try:
        feasibility = call.feasibility
    except FIT_FAILURES:
        feasibility = None
    if feasibility is None:
        return _drawn(call, waiting, rng=rng, generated_by="initial_design")
    log_chance = log_feasible(feasibility, encoded.features)(encoded.rows_at(codes))
    likeliest = likeliest_new(call.allowed, codes, log_chance.numpy())
    if likeliest is None:
        return _drawn(call, waiting, rng=rng, generated_by="feasibility")
    return Suggestion(likeliest, "feasibility")


def _drawn(
    call: Call, waiting: Sequence[Parameterization], *, rng: np.random.Generator, generated_by: str
) -> Suggestion | None:
    observed = (observation.parameterization for observation in call.encoded.observations)
    new = draw_new(call.allowed, known=[*observed, *waiting], rng=rng)
    return None if new is None else Suggestion(new, generated_by)


def _modelled(call: Call, waiting: Sequence[Parameterization], *, position: int) -> Suggestion | None:
    encoded, rng = call.encoded, call.rng(position)
    started = time.perf_counter()
    try:
        model = call.model
        fitted_at = time.perf_counter()
        posterior = _pending_posterior(encoded, model.surrogate, waiting)
        acquisition, name = acquisition_function(
            posterior,
            encoded.reference,
            limits=encoded.limits,
            feasibility=model.feasibility,
            shared_luck=any(one.row_errors for one in encoded.observations),
            seed=int(call.rng(position).integers(2**31)),
        )
        search = Search(encoded, call.allowed, acquisition, rng, call.deadline)
        if call.shortlists:
            best = maximise_among(search, call.shortlists[-1])
        else:
            best = maximise(search, _front(encoded, posterior))
        searched_at = time.perf_counter()
    except FIT_FAILURES:
        return _drawn(call, waiting, rng=rng, generated_by="fallback_random")
    if best is None:
        return _drawn(call, waiting, rng=rng, generated_by="fallback_random")
    if call.shortlists is not None:
        call.shortlists.append(best.shortlist)
    (chosen,) = encoded.problem.grid.parameterizations(encoded.spelled(best.codes))
    explanation = explain(
        encoded,
        chosen,
        surrogate=model.surrogate,
        acquisition_value=best.score,
        learned_from=learned_from(model.surrogate),
    )
    return Suggestion(
        chosen, name, explanation, fit_seconds=fitted_at - started, search_seconds=searched_at - fitted_at
    )


def _pending_posterior(
    encoded: EncodedProblem, fitted: Surrogate, waiting: Sequence[Parameterization]
) -> PendingPosterior:
    X, surrogate, observed = encoded.X, fitted, len(encoded.X)
    if waiting:
        pending = encoded.rows_of(waiting)
        X, surrogate = torch.cat([X, pending]), fitted.condition_on_mean(pending)
    means = surrogate.means(X)
    # A mean is a hair off what was observed: beyond a limit at the edge of what a metric can reach.
    feasible = keeps_limits(encoded.limits, torch.cat([encoded.Y, means[observed:]]))
    return PendingPosterior(fitted, surrogate, X, observed, means, feasible)


def _front(encoded: EncodedProblem, posterior: PendingPosterior) -> Codes:
    """Return members of the front of posterior means, spread along the last objective."""
    kept: Tensor = posterior.feasible if posterior.feasible.any() else torch.ones_like(posterior.feasible)
    values = posterior.means[kept][:, : encoded.objectives]
    best = is_non_dominated(values)
    rows = posterior.X[kept][best][:, : encoded.features]
    codes = encoded.problem.grid.decode(rows.numpy())
    return spread_over(codes, values[best][:, -1].numpy(), count=FRONT_POINTS)
