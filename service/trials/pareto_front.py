"""The Pareto front, its hypervolume and its reference point. Pure NumPy; knows no database and no torch.

Everything is turned to minimisation once, in `costs`: maximised objectives change sign, those
on a logarithmic scale are taken as log10.
"""

from collections.abc import Mapping, Sequence

import moocore
import numpy as np
from numpy.typing import NDArray

from api_schemas.objectives import Direction, Objective, OutcomeConstraint, log_scaled
from service.clipping import reference_below

TRIALS_BEFORE_PINNING = 5
"""A reference without a natural bound is pinned once this many trials have been accepted."""


def satisfies(constraints: Sequence[OutcomeConstraint], metrics: Mapping[str, float]) -> bool:
    """Return whether measured metrics keep every constraint."""
    return all(constraint.holds(metrics[constraint.metric]) for constraint in constraints)


def front_members(objectives: Sequence[Objective], metrics: Sequence[Mapping[str, float]]) -> list[int]:
    """Return the positions of the points that no other point dominates; equal points stay together."""
    if not metrics:
        return []
    keep = moocore.is_nondominated(costs(objectives, metrics), keep_weakly=True)
    return [int(position) for position in np.flatnonzero(keep)]


def hypervolume(
    objectives: Sequence[Objective],
    metrics: Sequence[Mapping[str, float]],
    *,
    reference_point: Sequence[float],
) -> float:
    """Measure the volume that the points dominate up to the reference point (in raw metric units)."""
    if not metrics:
        return 0.0
    reference: dict[str, float] = {
        objective.metric: value for objective, value in zip(objectives, reference_point, strict=True)
    }
    return float(moocore.hypervolume(costs(objectives, metrics), ref=costs(objectives, [reference])[0]))


def reference_point(
    objectives: Sequence[Objective],
    defaults: Sequence[float | None],
    metrics: Sequence[Mapping[str, float]],
) -> tuple[float, ...] | None:
    """Settle the reference point, or give None while too little is known.

    The user's reference wins, then the natural bound in `defaults` (the score of guessing, the
    largest configuration of the space), then what the first trials imply by `reference_below`, as in the
    optimiser.
    """
    settled = _given(objectives, defaults)
    if None in settled and len(metrics) < TRIALS_BEFORE_PINNING:
        return None
    return tuple(
        _beyond_worst(objective, metrics) if value is None else value
        for objective, value in zip(objectives, settled, strict=True)
    )


def follows_from_objectives(objectives: Sequence[Objective], defaults: Sequence[float | None]) -> bool:
    """Return whether the reference point needs no result."""
    return None not in _given(objectives, defaults)


def _given(objectives: Sequence[Objective], defaults: Sequence[float | None]) -> list[float | None]:
    return [
        objective.reference if objective.reference is not None else default
        for objective, default in zip(objectives, defaults, strict=True)
    ]


def _beyond_worst(objective: Objective, metrics: Sequence[Mapping[str, float]]) -> float:
    values = np.array([point[objective.metric] for point in metrics], dtype=np.float64)
    reference = reference_below(-_costs(objective, values))
    scaled = reference if objective.direction is Direction.MAXIMIZE else -reference
    return float(10.0**scaled) if objective.is_log else scaled


def costs(objectives: Sequence[Objective], metrics: Sequence[Mapping[str, float]]) -> NDArray[np.float64]:
    """Return a row for each point and a column for each objective, all to be minimised."""
    return costs_of_columns(
        objectives,
        {
            objective.metric: np.array([point[objective.metric] for point in metrics], dtype=np.float64)
            for objective in objectives
        },
    )


def costs_of_columns(
    objectives: Sequence[Objective], values: Mapping[str, NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Do the same for points that come as an array for each metric."""
    return np.stack([_costs(objective, values[objective.metric]) for objective in objectives], axis=1)


def _costs(objective: Objective, values: NDArray[np.float64]) -> NDArray[np.float64]:
    column = values
    if objective.is_log:
        # Not NumPy's logarithm: equal values must stay equal wherever they stand in the array.
        column = np.array([log_scaled(value, count=objective.is_count) for value in values.tolist()])
    return -column if objective.direction is Direction.MAXIMIZE else column
