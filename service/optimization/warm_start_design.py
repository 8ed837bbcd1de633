"""What former studies (sources) contribute before the new study has a model.

Their best configurations, if the problem has any, run first. Then, after one trial of the plain initial
design, come configurations on the front that the sources' models predict among what the sources tried,
spread over the cost. They end as soon as the sources rank the observations no better than chance. Once the
sources prove right, the plain design ends early.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from botorch.utils.multi_objective.pareto import is_non_dominated
from jaxtyping import Float64
from torch import Tensor

from api_schemas.proposals import Explanation
from service.optimization.candidate_filter import CandidateFilter
from service.optimization.encoded_problem import EncodedProblem
from service.optimization.grid import Codes
from service.optimization.initial_design import design_size, spread
from service.optimization.problem import Suggestion
from service.optimization.representatives import spread_over
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
    encoded: EncodedProblem, allowed: CandidateFilter, *, position: int, deadline: float = math.inf
) -> Suggestion | None:
    """Return what the sources suggest for a position, or None where the plain design goes on."""
    for source in encoded.problem.sources:
        new = allowed.keep(source.starting_points)
        if new:
            return Suggestion(new[0], "transferred_point", Explanation(learned_from={source.study_id: 1.0}))
    if position == 0 or position >= design_size(encoded.problem.grid):
        return None
    # Workers that start together do not all rely on the sources before any evidence for them.
    if len(encoded.measured) < LEAST_COMPARED and position % 2 == 0:
        return None
    priors = {
        column: prior
        for column, sources in _of_objectives(encoded).items()
        if (prior := untested_prior(sources, deadline=deadline)).weights
    }
    if not priors or any(_refuted(encoded, column, prior) for column, prior in priors.items()):
        return None
    return _expected_best(encoded, allowed, priors, position=position)


def sources_suffice(encoded: EncodedProblem, *, deadline: float = math.inf) -> bool:
    """Return whether the observations confirm a source for every modelled objective."""
    if not encoded.problem.sources or len(encoded.measured) < LEAST_EVIDENCE:
        return False
    X, by_column = encoded.X[:, : encoded.features], _of_objectives(encoded)
    return bool(by_column) and all(
        trusted_prior(X, encoded.Y[:, column], sources, seed=encoded.seed, deadline=deadline).weights
        for column, sources in by_column.items()
    )


def learned_from(surrogate: Surrogate) -> dict[str, float]:
    """Return the weight of each source in a surrogate: the largest over the outcomes."""
    weights: dict[str, float] = {}
    for process in surrogate.processes:
        if isinstance(process, TransferProcess):
            for name, weight in process.weights.items():
                weights[name] = max(weight, weights.get(name, 0.0))
    return weights


def _of_objectives(encoded: EncodedProblem) -> Mapping[int, Sequence[SourceObservations]]:
    """Return what the sources observed of each modelled objective, by its column."""
    objectives = enumerate(encoded.outcomes[: encoded.objectives])
    return {column: encoded.sources[outcome.metric] for column, outcome in objectives if not outcome.exact}


def _refuted(encoded: EncodedProblem, column: int, prior: PriorMean) -> bool:
    if len(encoded.measured) < LEAST_COMPARED:
        return False
    predicted = prior(encoded.X[:, : encoded.features]).unsqueeze(0)
    return concordance(signed_agreement(predicted, encoded.Y[:, column])[0]) <= 0


def _expected_best(
    encoded: EncodedProblem, allowed: CandidateFilter, priors: Mapping[int, PriorMean], *, position: int
) -> Suggestion | None:
    problem, grid = encoded.problem, encoded.problem.grid
    tried = [
        problem.search_space.active(observation.parameterization)
        for source in problem.sources
        for observation in source.observations
    ]
    codes = np.unique(grid.codes(tried), axis=0)
    codes = codes[allowed.within_limits(codes)]
    if not len(codes):
        return None
    expected = _expected(encoded, codes, priors)
    front = is_non_dominated(expected)
    ranked = spread_over(codes[front.numpy()], _by_cost(encoded, expected[front]), count=FRONT_POINTS)
    new = allowed.keep(grid.parameterizations(ranked))
    if not new:
        return None
    following = new[round(spread(position - 1) * (len(new) - 1))]
    weights = {name: weight for prior in priors.values() for name, weight in prior.weights.items()}
    return Suggestion(following, "transferred_design", Explanation(learned_from=weights))


def _by_cost(encoded: EncodedProblem, expected: Float64[Tensor, "n objectives"]) -> Float64[np.ndarray, " n"]:
    # From the worst in the first exact objective to the best, as in the plain design; if none is exact,
    # from the worst in the first objective.
    exact = [outcome.exact for outcome in encoded.outcomes[: encoded.objectives]]
    column = exact.index(True) if True in exact else 0
    values = expected[:, column].numpy()
    return np.asarray(-values if exact[column] else values)


def _expected(
    encoded: EncodedProblem, codes: Codes, priors: Mapping[int, PriorMean]
) -> Float64[Tensor, "n objectives"]:
    X = encoded.features_at(codes)
    exact = iter(encoded.exact_at(codes).T)
    columns = [
        next(exact)
        if outcome.exact
        else priors[column](X)
        if column in priors
        else torch.zeros(len(codes), dtype=torch.double)
        for column, outcome in enumerate(encoded.outcomes[: encoded.objectives])
    ]
    return torch.stack(columns, dim=1)
