"""Why a configuration was suggested: what the model predicted, and its chance of joining the front.

Arithmetic on means and standard deviations of independent outcomes; does not know how a candidate was found.
"""

import math
from collections.abc import Mapping, Sequence

import torch
from botorch.utils.multi_objective.pareto import is_non_dominated
from jaxtyping import Bool, Float64
from torch import Tensor

from api_schemas.proposals import Explanation, Prediction
from api_schemas.search_space import Parameterization
from service.optimization.encoded_problem import EncodedProblem
from service.optimization.grid import Candidates
from service.optimization.outcomes import Limit, Outcome, keeps_limits
from service.optimization.surrogate import Surrogate

SAMPLES = 4096
"""Draws for a chance without a closed form: its standard error is below 0.008."""


def explain(
    encoded: EncodedProblem,
    parameterization: Parameterization,
    *,
    surrogate: Surrogate,
    acquisition_value: float,
    learned_from: dict[str, float],
) -> Explanation | None:
    """Return the explanation by the model that ranked a suggestion; None if a prediction is not finite."""
    grid = encoded.problem.grid
    alone = Candidates(grid, grid.codes([parameterization]))
    means, deviations = forecast(surrogate, encoded.rows_at(alone.codes))
    if not bool(torch.isfinite(torch.cat([means, deviations])).all()):
        return None
    exact = {name: float(values(alone)[0]) for name, values in encoded.problem.exact_metrics.items()}
    return Explanation(
        predictions=predictions(encoded.outcomes, means=means, deviations=deviations, exact=exact),
        acquisition_value=acquisition_value if math.isfinite(acquisition_value) else None,
        front_probability=front_probability(
            encoded.outcomes,
            encoded.limits,
            objectives=encoded.objectives,
            means=means,
            deviations=deviations,
            Y=encoded.Y,
            seed=encoded.seed,
        ),
        learned_from=learned_from,
    )


@torch.no_grad()
def forecast(
    surrogate: Surrogate, X: Float64[Tensor, "1 dk"]
) -> tuple[Float64[Tensor, " m"], Float64[Tensor, " m"]]:
    """Return mean and standard deviation of an observation; an exact outcome has deviation 0."""
    deviations = []
    for process in surrogate.processes:
        if process is None:
            deviations.append(torch.tensor(0.0, dtype=torch.double))
        else:
            variance = process.posterior(X[:, : surrogate.features])[1][0]
            deviations.append(torch.sqrt(variance + process.noise_variance))
    return surrogate.means(X)[0], torch.stack(deviations)


def predictions(
    outcomes: Sequence[Outcome],
    *,
    means: Float64[Tensor, " m"],
    deviations: Float64[Tensor, " m"],
    exact: Mapping[str, float],
) -> dict[str, Prediction]:
    """Return forecasts in the metrics' units and signs; `exact` has the exact metrics.

    A metric that is modelled as log10 gets its median, and its deviation to first order.
    """
    by_metric = {}
    for outcome, mean, deviation in zip(outcomes, means.tolist(), deviations.tolist(), strict=True):
        if outcome.exact:
            by_metric[outcome.metric] = Prediction(mean=exact[outcome.metric], standard_deviation=0.0)
        elif outcome.is_log:
            median = 10.0 ** (outcome.sign * mean)
            spread = math.log(10) * median * deviation
            by_metric[outcome.metric] = Prediction(mean=median, standard_deviation=spread)
        else:
            by_metric[outcome.metric] = Prediction(mean=outcome.sign * mean, standard_deviation=deviation)
    return by_metric


def front_probability(
    outcomes: Sequence[Outcome],
    limits: Sequence[Limit],
    *,
    objectives: int,
    means: Float64[Tensor, " m"],
    deviations: Float64[Tensor, " m"],
    Y: Float64[Tensor, "n m"],
    seed: int,
) -> float:
    """Return the chance that the observation will keep every limit and be dominated by none of `Y`.

    Closed form where one objective is measured and all limits are exact: the chance to beat the best of the
    rows that are no worse in the exact objectives. Otherwise the share of draws that would join.
    """
    front = Y[keeps_limits(limits, Y)][:, :objectives]
    front = front[is_non_dominated(front)]
    measured = [column for column in range(objectives) if not outcomes[column].exact]
    if len(measured) == 1 and all(outcomes[limit.column].exact for limit in limits):
        return _chance_to_beat(means[:objectives], deviations[:objectives], front, column=measured[0])
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(SAMPLES, len(outcomes), generator=generator, dtype=torch.double)
    draws = means + deviations * noise
    joins = keeps_limits(limits, draws) & ~_dominated(draws[:, :objectives], front)
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
    dominated = torch.zeros(len(Z), dtype=torch.bool)
    for member in front:
        dominated |= (member >= Z).all(dim=1) & (member > Z).any(dim=1)
    return dominated
