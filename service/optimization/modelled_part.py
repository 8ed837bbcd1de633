"""Which observations are modelled, where there are more than a fit has time and memory for.

Knows no model.
"""

from collections.abc import Sequence

import numpy as np
import torch
from botorch.utils.multi_objective.pareto import is_non_dominated

from service.optimization.acquisition import far_apart, feasible_rows
from service.optimization.grid import Grid
from service.optimization.outcomes import observed_values, outcomes_of
from service.optimization.problem import Observation, Problem

MODELLED_OBSERVATIONS = 600
"""A proposal takes cubic time."""

MODELLED_NUMBERS = 8_000_000
"""Observations times columns: fewer are modelled of more than 13,000 columns."""

FEWEST_MODELLED = 50


def modelled_part(
    problem: Problem, observations: Sequence[Observation], *, seed: int
) -> Sequence[Observation]:
    """Return what is modelled: the front within the limits in half of the places, the rest at random."""
    most = _most_modelled(Grid(problem.search_space).dimensions)
    if len(observations) <= most:
        return observations
    outcomes = outcomes_of(problem)
    measured = [row for row, observation in enumerate(observations) if observation.metrics is not None]
    values = observed_values(outcomes, [item.metrics for item in observations if item.metrics is not None])
    kept = feasible_rows(values, problem, outcomes)
    kept = kept if kept.any() else torch.ones_like(kept)
    objectives = values[kept][:, : len(problem.objectives)]
    front = is_non_dominated(objectives)
    members = torch.tensor(measured)[kept][front]
    if len(members) > most // 2:
        members = members[far_apart(objectives[front], count=most // 2)]
    priority = np.random.default_rng(seed).random(len(observations))
    priority[members.numpy()] = -1.0
    chosen = np.sort(np.argsort(priority, kind="stable")[:most])
    return [observations[index] for index in chosen.tolist()]


def _most_modelled(columns: int) -> int:
    return min(MODELLED_OBSERVATIONS, max(FEWEST_MODELLED, MODELLED_NUMBERS // max(columns, 1)))
