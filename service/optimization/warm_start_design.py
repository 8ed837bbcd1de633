"""What former studies contribute before the new study has a model of its own, and what of them is modelled.

Their best configurations, where a problem brings them, run first. Then, after one trial of the plain
initial design, come the fronts that the sources' models see among what the sources tried, spread over
the cost, until the sources order what has been observed no better than a coin would. Once they prove
right, the plain design ends early.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from botorch.utils.multi_objective.pareto import is_non_dominated
from jaxtyping import Float64
from torch import Tensor

from api_schemas.proposals import Explanation
from service.optimization.candidate_filter import CandidateFilter, features, with_share
from service.optimization.grid import Candidates
from service.optimization.initial_design import design_size, spread
from service.optimization.outcomes import Outcome, exact_values, observed_values, outcomes_of
from service.optimization.problem import Observation, Problem, Source, Suggestion
from service.optimization.surrogate import Surrogate
from service.optimization.transfer import (
    LEAST_EVIDENCE,
    PriorMean,
    SourceObservations,
    TransferProcess,
    concordance,
    signed_agreement,
    trusted_prior,
    untested_prior,
)

LEAST_COMPARED = 2
"""Observations that have an order."""

FRONT_POINTS = 8
"""Of the sources' fronts, how many configurations are run at most."""


def next_transferred(
    allowed: CandidateFilter,
    measured: Sequence[Observation],
    *,
    position: int,
    deadline: float = math.inf,
) -> Suggestion | None:
    """Return what the sources propose for a position, or None if it is not their turn."""
    problem = allowed.problem
    for source in problem.sources:
        new = allowed.keep(source.starting_points)
        if new:
            return Suggestion(new[0], "transferred_point", Explanation(learned_from={source.study_id: 1.0}))
    # Workers that start together do not bet everything on the sources before anything speaks for them.
    unproven = len(measured) < LEAST_COMPARED
    if position == 0 or position >= design_size(problem) or (unproven and position % 2 == 0):
        return None
    priors = {
        name: prior
        for name, found in _modelled(problem).items()
        if (prior := untested_prior(found, deadline=deadline)).weights
    }
    if not priors or any(_refuted(problem, measured, name, prior) for name, prior in priors.items()):
        return None
    return _expected_best(allowed, priors, position=position)


def sources_suffice(
    problem: Problem, measured: Sequence[Observation], *, seed: int, deadline: float = math.inf
) -> bool:
    """Return whether the observations bear out a source for every modelled objective."""
    sources = _modelled(problem)
    if not problem.sources or len(measured) < LEAST_EVIDENCE:
        return False
    X = features(problem.search_space, [observation.parameterization for observation in measured])
    return bool(sources) and all(
        trusted_prior(X, _observed(problem, measured, name), found, seed=seed, deadline=deadline).weights
        for name, found in sources.items()
    )


def measured_sources(
    problem: Problem, outcomes: Sequence[Outcome]
) -> Mapping[str, Sequence[SourceObservations]]:
    """Return what the sources observed of each outcome that is modelled, by metric."""
    return {
        outcome.metric: [
            found for source in problem.sources if (found := _of_source(problem, source, outcome)) is not None
        ]
        for outcome in outcomes
        if not outcome.exact
    }


def learned_from(surrogate: Surrogate) -> dict[str, float]:
    """Return what a surrogate took from which study: the largest weight over the outcomes."""
    weights: dict[str, float] = {}
    for process in surrogate.processes:
        if isinstance(process, TransferProcess):
            for name, weight in process.weights.items():
                weights[name] = max(weight, weights.get(name, 0.0))
    return weights


def _modelled(problem: Problem) -> Mapping[str, Sequence[SourceObservations]]:
    return measured_sources(problem, outcomes_of(problem)[: len(problem.objectives)])


def _of_source(problem: Problem, source: Source, outcome: Outcome) -> SourceObservations | None:
    told = [
        (observation.parameterization, observation.metrics)
        for observation in source.observations
        if observation.metrics is not None and outcome.metric in observation.metrics
    ]
    if not told:
        return None
    X = features(problem.search_space, [parameterization for parameterization, _ in told])
    y = observed_values([outcome], [metrics for _, metrics in told]).squeeze(-1)
    return SourceObservations(source.study_id, X, y)


def _observed(problem: Problem, measured: Sequence[Observation], metric: str) -> Float64[Tensor, " n"]:
    outcome = next(each for each in outcomes_of(problem) if each.metric == metric)
    return observed_values([outcome], [item.metrics for item in measured if item.metrics]).squeeze(-1)


def _refuted(problem: Problem, measured: Sequence[Observation], metric: str, prior: PriorMean) -> bool:
    if len(measured) < LEAST_COMPARED:
        return False
    X = features(problem.search_space, [observation.parameterization for observation in measured])
    agreement = signed_agreement(prior(X).unsqueeze(0), _observed(problem, measured, metric))
    return concordance(agreement[0]) <= 0


def _expected_best(
    allowed: CandidateFilter, priors: Mapping[str, PriorMean], *, position: int
) -> Suggestion | None:
    problem = allowed.problem
    tried = [
        problem.search_space.active(item.parameterization)
        for source in problem.sources
        for item in source.observations
    ]
    codes = np.unique(allowed.grid.codes(tried), axis=0)
    codes = codes[allowed.within_limits(codes)]
    if not len(codes):
        return None
    expected = _expected(problem, Candidates(allowed.grid, codes), priors)
    front = is_non_dominated(expected)
    ranked = codes[front.numpy()][_by_cost(problem, expected[front])]
    chosen = np.unique(np.linspace(0, len(ranked) - 1, FRONT_POINTS).round().astype(int))
    new = allowed.keep(allowed.grid.parameterizations(ranked[chosen]))
    if not new:
        return None
    following = new[round(spread(position - 1) * (len(new) - 1))]
    weights = {name: weight for prior in priors.values() for name, weight in prior.weights.items()}
    return Suggestion(following, "transferred_design", Explanation(learned_from=weights))


def _by_cost(problem: Problem, expected: Float64[Tensor, "n objectives"]) -> list[int]:
    # From the worst in the first known objective, or else in the first, to the best: as the plain design.
    known = [outcome.exact for outcome in outcomes_of(problem)[: len(problem.objectives)]]
    column = known.index(True) if True in known else 0
    order: list[int] = torch.argsort(expected[:, column], descending=known[column], stable=True).tolist()
    return order


def _expected(
    problem: Problem, pool: Candidates, priors: Mapping[str, PriorMean]
) -> Float64[Tensor, "n objectives"]:
    outcomes = outcomes_of(problem)
    X = torch.from_numpy(with_share(pool.grid, pool.grid.encode(pool.codes)))
    known = iter(exact_values(problem, outcomes, pool).T)
    columns = [
        next(known)
        if outcome.exact
        else priors[outcome.metric](X)
        if outcome.metric in priors
        else torch.zeros(len(pool), dtype=torch.double)
        for outcome in outcomes
    ]
    return torch.stack(columns[: len(problem.objectives)], dim=1)
