"""Why a configuration was suggested: what the model expected of it, and its chance of joining the front.

Arithmetic on means and standard deviations; how a candidate was found is not known here. Outcomes are
taken as independent, as the models of a model list are.
"""

import math
from collections.abc import Mapping, Sequence

import torch
from botorch.utils.multi_objective.pareto import is_non_dominated
from jaxtyping import Bool, Float64
from torch import Tensor

from api_schemas.proposals import Explanation, Prediction
from api_schemas.search_space import Parameterization
from service.optimization.candidate_filter import augmented
from service.optimization.grid import Candidates, Grid
from service.optimization.outcomes import Outcome, outcomes_of, signed_bound
from service.optimization.problem import Problem
from service.optimization.surrogate import Surrogate

SAMPLES = 4096
"""Draws for a chance without a closed form: its standard error is below 0.008."""


def explain(
    problem: Problem,
    parameterization: Parameterization,
    *,
    surrogate: Surrogate,
    Y: Float64[Tensor, "n m"],
    acquisition_value: float,
    seed: int,
) -> Explanation | None:
    """Explain a suggestion by the model that ranked it; None where the model says nothing finite."""
    outcomes = outcomes_of(problem)
    means, deviations = forecast(surrogate, augmented(problem, [parameterization]))
    if not bool(torch.isfinite(torch.cat([means, deviations])).all()):
        return None
    grid = Grid(problem.search_space)
    alone = Candidates(grid, grid.codes([parameterization]))
    exact = {name: float(values(alone)[0]) for name, values in problem.exact_metrics.items()}
    return Explanation(
        predictions=predictions(outcomes, means=means, deviations=deviations, exact=exact),
        acquisition_value=acquisition_value if math.isfinite(acquisition_value) else None,
        front_probability=front_probability(problem, means=means, deviations=deviations, Y=Y, seed=seed),
    )


@torch.no_grad()
def forecast(
    surrogate: Surrogate, X: Float64[Tensor, "1 dk"]
) -> tuple[Float64[Tensor, " m"], Float64[Tensor, " m"]]:
    """Return mean and standard deviation of what would be observed; a known outcome has no deviation."""
    deviations = []
    for process in surrogate.processes:
        if process is None:
            deviations.append(torch.tensor(0.0, dtype=torch.double))
        else:
            variance = process.posterior(X[:, : surrogate.encoded])[1][0]
            deviations.append(torch.sqrt(variance + process.noise_variance))
    return surrogate.means(X)[0], torch.stack(deviations)


def predictions(
    outcomes: Sequence[Outcome],
    *,
    means: Float64[Tensor, " m"],
    deviations: Float64[Tensor, " m"],
    exact: Mapping[str, float],
) -> dict[str, Prediction]:
    """Put forecasts into the metrics' own units and signs; `exact` has the known metrics.

    A metric that is modelled as log10 gets the median, and its deviation to first order.
    """
    found = {}
    for outcome, mean, deviation in zip(outcomes, means.tolist(), deviations.tolist(), strict=True):
        if outcome.exact:
            found[outcome.metric] = Prediction(mean=exact[outcome.metric], standard_deviation=0.0)
        elif outcome.is_log:
            median = 10.0 ** (outcome.sign * mean)
            spread = math.log(10) * median * deviation
            found[outcome.metric] = Prediction(mean=median, standard_deviation=spread)
        else:
            found[outcome.metric] = Prediction(mean=outcome.sign * mean, standard_deviation=deviation)
    return found


def front_probability(
    problem: Problem,
    *,
    means: Float64[Tensor, " m"],
    deviations: Float64[Tensor, " m"],
    Y: Float64[Tensor, "n m"],
    seed: int,
) -> float:
    """Return the chance that the observation will keep every limit and be dominated by none of `Y`.

    Closed form where one objective is measured and no limit is: the chance to beat the best of those
    that are no worse in what is known. Else the share of draws that would join.
    """
    outcomes = outcomes_of(problem)
    count = len(problem.objectives)
    front = Y[_keeps_limits(problem, Y)][:, :count]
    front = front[is_non_dominated(front)]
    measured = [column for column in range(count) if not outcomes[column].exact]
    limited = {constraint.metric for constraint in problem.constraints} - problem.exact_metrics.keys()
    if len(measured) == 1 and not limited:
        return _chance_to_beat(means[:count], deviations[:count], front, column=measured[0])
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(SAMPLES, len(outcomes), generator=generator, dtype=torch.double)
    draws = means + deviations * noise
    joins = _keeps_limits(problem, draws) & ~_dominated(draws[:, :count], front)
    return float(joins.double().mean())


def _chance_to_beat(
    means: Float64[Tensor, " objectives"],
    deviations: Float64[Tensor, " objectives"],
    front: Float64[Tensor, "members objectives"],
    *,
    column: int,
) -> float:
    known = [other for other in range(len(means)) if other != column]
    rivals = front[(front[:, known] >= means[known]).all(dim=1), column]
    if not len(rivals):
        return 1.0
    lead = means[column] - rivals.max()
    return float(torch.special.ndtr(lead / deviations[column].clamp_min(torch.finfo(torch.double).tiny)))


def _dominated(
    Z: Float64[Tensor, "s objectives"], front: Float64[Tensor, "members objectives"]
) -> Bool[Tensor, " s"]:
    found = torch.zeros(len(Z), dtype=torch.bool)
    for member in front:
        found |= (member >= Z).all(dim=1) & (member > Z).any(dim=1)
    return found


def _keeps_limits(problem: Problem, Z: Float64[Tensor, "s m"]) -> Bool[Tensor, " s"]:
    outcomes = outcomes_of(problem)
    columns = {outcome.metric: column for column, outcome in enumerate(outcomes)}
    kept = torch.ones(len(Z), dtype=torch.bool)
    for constraint in problem.constraints:
        column = columns[constraint.metric]
        sign, offset = signed_bound(outcomes[column], constraint.op, constraint.bound)
        kept &= sign * Z[:, column] + offset <= 0
    return kept
