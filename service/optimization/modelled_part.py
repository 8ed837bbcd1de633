"""Which observations are modelled, when there are more than a fit has time and memory for.

Knows no model.
"""

from collections.abc import Sequence

import numpy as np
import torch
from botorch.utils.multi_objective.pareto import is_non_dominated

from service.optimization.outcomes import Outcome, keeps_limits, limits_of, observed_values
from service.optimization.problem import Observation, Problem
from service.optimization.representatives import far_apart

MODELLED_OBSERVATIONS = 600
"""A fit takes cubic time."""

MODELLED_NUMBERS = 8_000_000
"""Observations times columns: fewer are modelled of more than 13,000 columns."""

FEWEST_MODELLED = 50
FIRST = 16
"""Observations that a study began with."""


def modelled_part(
    problem: Problem, outcomes: Sequence[Outcome], observations: Sequence[Observation], *, seed: int
) -> Sequence[Observation]:
    """Return what is modelled: the front within the limits, up to half of it, and a random rest.

    The rest begins with what others are compared with: the first observations, among them the default and
    the head alone, and what was measured with several seeds, as contenders are.
    """
    within_memory = MODELLED_NUMBERS // max(problem.grid.dimensions, 1)
    most = min(MODELLED_OBSERVATIONS, max(FEWEST_MODELLED, within_memory))
    if len(observations) <= most:
        return observations
    measured = [row for row, observation in enumerate(observations) if observation.metrics is not None]
    values = observed_values(outcomes, [item.metrics for item in observations if item.metrics is not None])
    kept = keeps_limits(limits_of(problem, outcomes), values)
    kept = kept if kept.any() else torch.ones_like(kept)
    objectives = values[kept][:, : len(problem.objectives)]
    front = is_non_dominated(objectives)
    members = torch.tensor(measured, dtype=torch.long)[kept][front]
    if len(members) > most // 2:
        members = members[far_apart(objectives[front], count=most // 2)]
    priority = np.random.default_rng(seed).random(len(observations))
    priority[[item.seeds > 1 for item in observations]] = -1.0
    priority[:FIRST] = -2.0
    priority[members.numpy()] = -3.0
    chosen = np.sort(np.argsort(priority, kind="stable")[:most])
    return [observations[index] for index in chosen.tolist()]
