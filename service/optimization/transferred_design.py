"""What former studies contribute before the new study has a model of its own, and what of them is modelled.

Their best configurations, where a problem brings them, run first. Then every second trial of the
initial design is one of which the sources expect most at its cost, unless they order what has been
observed worse than a coin would; once they prove right, the design ends early.
"""

import random
from collections.abc import Mapping, Sequence

import torch
from botorch.models.model import ModelList
from botorch.utils.multi_objective.pareto import is_non_dominated
from jaxtyping import Float64
from torch import Tensor

from api_schemas.proposals import Explanation
from api_schemas.search_space import Parameterization
from service.optimization.candidates import density_sample
from service.optimization.encoding import encode
from service.optimization.initial_design import design_size, spread
from service.optimization.outcomes import Outcome, known_values, observed_values, outcomes_of
from service.optimization.pool import Admission
from service.optimization.problem import Observation, Problem, Source, Suggestion
from service.optimization.transfer import (
    LEAST_EVIDENCE,
    PriorMean,
    SourceObservations,
    TransferModel,
    concordance,
    signed_agreement,
    trusted_prior,
    untested_prior,
)

DRAWS = 1024


def next_transferred(
    problem: Problem, admission: Admission, measured: Sequence[Observation], *, position: int, seed: int
) -> Suggestion | None:
    """Give what the sources propose for a position, or None if it is not their turn."""
    for source in problem.sources:
        new = admission.admit(source.starting_points)
        if new:
            return Suggestion(new[0], "transferred_point", Explanation(learned_from={source.study_id: 1.0}))
    if position % 2 == 0 or position >= design_size(problem) or sources_suffice(problem, measured, seed=seed):
        return None
    priors = {
        name: prior for name, found in _modelled(problem).items() if (prior := untested_prior(found)).weights
    }
    if not priors or any(_refuted(problem, measured, name, prior) for name, prior in priors.items()):
        return None
    return _expected_best(problem, admission, priors, position=position)


def sources_suffice(problem: Problem, measured: Sequence[Observation], *, seed: int) -> bool:
    """Say whether the observations bear out a source for every modelled objective."""
    sources = _modelled(problem)
    if not problem.sources or len(measured) < LEAST_EVIDENCE:
        return False
    X = encode(problem.search_space, [observation.parameterization for observation in measured])
    return bool(sources) and all(
        trusted_prior(X, _observed(problem, measured, name), found, seed=seed).weights
        for name, found in sources.items()
    )


def measured_sources(
    problem: Problem, outcomes: Sequence[Outcome]
) -> Mapping[str, Sequence[SourceObservations]]:
    """Give what the sources observed of each outcome that is modelled, by metric."""
    return {
        outcome.metric: [
            found for source in problem.sources if (found := _of_source(problem, source, outcome)) is not None
        ]
        for outcome in outcomes
        if not outcome.known
    }


def learned_from(model: ModelList) -> Explanation | None:
    """Say what a model took from which study: the largest weight over the outcomes."""
    weights: dict[str, float] = {}
    for part in model.models:
        if isinstance(part, TransferModel):
            for name, weight in part.weights.items():
                weights[name] = max(weight, weights.get(name, 0.0))
    return Explanation(learned_from=weights) if weights else None


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
    X = encode(problem.search_space, [parameterization for parameterization, _ in told])
    y = observed_values([outcome], [metrics for _, metrics in told]).squeeze(-1)
    return SourceObservations(source.study_id, X, y)


def _observed(problem: Problem, measured: Sequence[Observation], metric: str) -> Float64[Tensor, " n"]:
    outcome = next(found for found in outcomes_of(problem) if found.metric == metric)
    return observed_values([outcome], [item.metrics for item in measured if item.metrics]).squeeze(-1)


def _refuted(problem: Problem, measured: Sequence[Observation], metric: str, prior: PriorMean) -> bool:
    if len(measured) < 2:
        return False
    X = encode(problem.search_space, [observation.parameterization for observation in measured])
    agreement = signed_agreement(prior(X).unsqueeze(0), _observed(problem, measured, metric))
    return concordance(agreement[0]) <= 0


def _expected_best(
    problem: Problem, admission: Admission, priors: Mapping[str, PriorMean], *, position: int
) -> Suggestion | None:
    # Drawn alike at every position and for every seed: the sources' answer is theirs alone.
    rng = random.Random("transferred design")  # noqa: S311  a design, not a secret
    tried = [item.parameterization for source in problem.sources for item in source.observations]
    pool = admission.admit(
        [*map(problem.search_space.active, tried), *density_sample(problem.search_space, DRAWS, rng=rng)]
    )
    if not pool:
        return None
    expected = _expected(problem, pool, priors)
    front = torch.nonzero(is_non_dominated(expected)).flatten()
    # From the worst in the first known objective, or else in the first, to the best: as the plain design.
    known = [outcome.known for outcome in outcomes_of(problem)[: len(problem.objectives)]]
    column = known.index(True) if True in known else 0
    ranked = front[torch.argsort(expected[front, column], descending=known[column], stable=True)]
    chosen = pool[int(ranked[round(spread(position) * (len(ranked) - 1))])]
    weights = {name: weight for prior in priors.values() for name, weight in prior.weights.items()}
    return Suggestion(chosen, "transferred_design", Explanation(learned_from=weights))


def _expected(
    problem: Problem, pool: Sequence[Parameterization], priors: Mapping[str, PriorMean]
) -> Float64[Tensor, "n objectives"]:
    outcomes = outcomes_of(problem)
    X = encode(problem.search_space, pool)
    known = iter(known_values(problem, outcomes, pool).T)
    columns = [
        next(known)
        if outcome.known
        else priors[outcome.metric](X)
        if outcome.metric in priors
        else torch.zeros(len(pool), dtype=torch.double)
        for outcome in outcomes
    ]
    return torch.stack(columns[: len(problem.objectives)], dim=1)
