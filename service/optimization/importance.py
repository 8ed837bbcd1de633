"""How much each parameter matters to each objective, by variance over the whole search space.

The total-effect Sobol index of a parameter (Homma and Saltelli 1996), by Jansen's estimator (1999,
equation 5 of Saltelli and others 2010): half the mean squared change when it alone is drawn anew, as a
share of the variance. A measured objective is the mean of its model; a known one is exact. Parameters are
drawn independently and uniformly on their scale; an inactive one has no effect.
"""

import re
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass

import gpytorch
import torch
from botorch.models.model import Model
from jaxtyping import Bool, Float64
from scipy.stats import qmc
from torch import Tensor

from api_schemas.importance import Importance, ObjectiveImportance, ParameterImportance
from api_schemas.search_space import (
    CategoricalParameter,
    OrdinalParameter,
    Parameter,
    Parameterization,
    ParameterValue,
    SearchSpace,
)
from service.optimization.encoding import columns_of, decode, encode, value_at
from service.optimization.initial_design import design_size
from service.optimization.outcomes import observed_values, observed_variances, outcomes_of
from service.optimization.pool import augmented
from service.optimization.problem import KnownMetric, Observation, Problem
from service.optimization.suggest import FIT_FAILURES
from service.optimization.surrogate import fit_surrogate

Function = Callable[[Float64[Tensor, "n d"]], Float64[Tensor, " n"]]
"""A value for each encoded configuration."""

MODELLED_ROWS = 4096
KNOWN_ROWS = 2048
"""Evaluations for one objective. A known metric is slower to compute than a model's mean."""

FEWEST_DRAWS, MOST_DRAWS = 16, 1024
CHUNK = 1024
NUMBERED = re.compile(r"(.+)\.\d+")


@dataclass(frozen=True)
class Draws:
    """N configurations: their values as columns, whatever is active, and which conditions they meet."""

    columns: Float64[Tensor, "N d"]
    meets: Mapping[str, Bool[Tensor, " N"]]


def weigh_parameters(
    problem: Problem,
    observations: Sequence[Observation],
    *,
    known: Sequence[ObjectiveImportance],
    seed: int,
) -> Importance:
    """Weigh the parameters for each objective, once there are twice the observations of the design.

    `known` are earlier results for known objectives, which never change and are not computed again.
    """
    measured = [observation for observation in observations if observation.metrics is not None]
    needed = 2 * design_size(problem)
    if len(measured) < needed:
        reason = f"{len(measured)} results so far; the importance of parameters is estimated from {needed} on"
        return Importance(observations=len(measured), reason=reason)
    outcomes = outcomes_of(problem)
    earlier = {item.metric: item for item in known}
    X = augmented(problem, [observation.parameterization for observation in measured])
    Y = observed_values(outcomes, [observation.metrics for observation in measured if observation.metrics])
    try:
        model = fit_surrogate(X, Y, outcomes=outcomes, variances=observed_variances(outcomes, measured))
    except FIT_FAILURES:
        return Importance(observations=len(measured), reason="no model could be fitted to the results")
    space = problem.search_space
    found = []
    for part, outcome in zip(model.models, outcomes[: len(problem.objectives)], strict=False):
        if outcome.known and outcome.metric in earlier:
            found.append(earlier[outcome.metric])
            continue
        function, rows = (
            (_exactly(problem.known_metrics[outcome.metric], outcome.value, space), KNOWN_ROWS)
            if outcome.known
            else (_mean_of(part), MODELLED_ROWS)
        )
        found.append(importance_for(outcome.metric, space, function, rows=rows, seed=seed))
    return Importance(observations=len(measured), objectives=tuple(found))


def importance_for(
    metric: str, space: SearchSpace, function: Function, *, rows: int, seed: int
) -> ObjectiveImportance:
    """Weigh the parameters and groups of a space for one function, with about `rows` evaluations."""
    singles = [frozenset({parameter.name}) for parameter in space.parameters]
    groups = numbered_groups(space)
    effects = total_effects(space, function, sets=[*singles, *groups.values()], rows=rows, seed=seed)
    items = [
        ParameterImportance(name=name, total_effect=effect)
        for name, effect in zip([*(p.name for p in space.parameters), *groups], effects, strict=True)
    ]
    ordered = [
        tuple(sorted(part, key=lambda item: -item.total_effect))
        for part in (items[: len(singles)], items[len(singles) :])
    ]
    return ObjectiveImportance(metric=metric, parameters=ordered[0], groups=ordered[1])


def numbered_groups(space: SearchSpace) -> dict[str, frozenset[str]]:
    """Collect parameters that differ in a last number only, as switches of layers do."""
    found: dict[str, set[str]] = {}
    for parameter in space.parameters:
        numbered = NUMBERED.fullmatch(parameter.name)
        if numbered:
            found.setdefault(f"{numbered[1]}.*", set()).add(parameter.name)
    return {name: frozenset(members) for name, members in found.items() if len(members) > 1}


def total_effects(
    space: SearchSpace, function: Function, *, sets: Sequence[Set[str]], rows: int, seed: int
) -> list[float]:
    """Estimate the total-effect index of each set of parameters; 0 where the function is constant."""
    draws = min(max(rows // (len(sets) + 2), FEWEST_DRAWS), MOST_DRAWS)
    A, B = _two_draws(space, 2 ** (draws.bit_length() - 1), seed=seed)
    X = [_rows(space, A, B, redrawn=redrawn) for redrawn in (set(), _names(space), *sets)]
    first, second, *changed = function(torch.cat(X)).reshape(len(X), -1)
    variance = torch.cat([first, second]).var(correction=0)
    if float(variance) <= torch.finfo(torch.double).eps:
        return [0.0 for _ in sets]
    return [float((first - other).square().mean() / (2 * variance)) for other in changed]


def _two_draws(space: SearchSpace, count: int, *, seed: int) -> tuple[Draws, Draws]:
    sequence = qmc.Sobol(2 * len(space.parameters), rng=seed).random(count).tolist()
    half = len(space.parameters)
    return _draws(space, [row[:half] for row in sequence]), _draws(space, [row[half:] for row in sequence])


def _draws(space: SearchSpace, positions: Sequence[Sequence[float]]) -> Draws:
    drawn: list[Parameterization] = [
        {
            parameter.name: _value(parameter, position)
            for parameter, position in zip(space.parameters, row, strict=True)
        }
        for row in positions
    ]
    return Draws(encode(space, drawn), _conditions_met(space, drawn))


def _value(parameter: Parameter, position: float) -> ParameterValue:
    if isinstance(parameter, OrdinalParameter | CategoricalParameter):
        return parameter.choices[int(position * len(parameter.choices))]
    return value_at(parameter, [position])


def _conditions_met(space: SearchSpace, drawn: Sequence[Parameterization]) -> dict[str, Bool[Tensor, " N"]]:
    return {
        parameter.name: torch.tensor(
            [parameter.when.met_by(values[parameter.when.parameter]) for values in drawn]
        )
        for parameter in space.parameters
        if parameter.when is not None
    }


def _rows(space: SearchSpace, A: Draws, B: Draws, *, redrawn: Set[str]) -> Float64[Tensor, "N d"]:
    """Take the redrawn parameters from B and the others from A; clear what then is inactive."""
    X = A.columns.clone()
    active: dict[str, Bool[Tensor, " N"]] = {}
    for parameter, columns in zip(space.parameters, columns_of(space), strict=True):
        if parameter.name in redrawn:
            X[:, columns] = B.columns[:, columns]
        if parameter.when is None:
            continue
        parent = parameter.when.parameter
        met = (B if parent in redrawn else A).meets[parameter.name]
        active[parameter.name] = met & active[parent] if parent in active else met
        X[~active[parameter.name], columns] = 0.0
    return X


def _names(space: SearchSpace) -> set[str]:
    return {parameter.name for parameter in space.parameters}


def _mean_of(model: Model) -> Function:
    @torch.no_grad()
    def mean(X: Float64[Tensor, "n d"]) -> Float64[Tensor, " n"]:
        with gpytorch.settings.skip_posterior_variances(True):
            return torch.cat([model.posterior(part).mean.squeeze(-1) for part in torch.split(X, CHUNK)])

    return mean


def _exactly(metric: KnownMetric, scaled: Callable[[float], float], space: SearchSpace) -> Function:
    return lambda X: torch.tensor([scaled(raw) for raw in metric(decode(space, X))], dtype=torch.double)
