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

SLOW_OBJECTIVES = 6
DIRECT_AT_MOST = 200
"""Points of so many objectives from which on the library's algorithm takes longer than point by point."""

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
    points, reference = costs(objectives, metrics), _reference_costs(objectives, reference_point)
    if len(objectives) >= SLOW_OBJECTIVES and len(points) > DIRECT_AT_MOST:
        return _added(points[:0], points[np.argsort(points[:, 0])], reference)
    return float(moocore.hypervolume(points, ref=reference))


def added_hypervolume(
    objectives: Sequence[Objective],
    front: Sequence[Mapping[str, float]],
    further: Sequence[Mapping[str, float]],
    *,
    reference_point: Sequence[float],
) -> float:
    """Return by how much further points enlarge the volume that a front dominates."""
    if not further:
        return 0.0
    both = costs(objectives, [*front, *further])
    return _added(both[: len(front)], both[len(front) :], _reference_costs(objectives, reference_point))


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


def _added(front: NDArray[np.float64], further: NDArray[np.float64], reference: NDArray[np.float64]) -> float:
    points = np.concatenate([front, further])
    return sum(
        _exclusive(points[:place], points[place], reference) for place in range(len(front), len(points))
    )


def _exclusive(
    points: NDArray[np.float64], one: NDArray[np.float64], reference: NDArray[np.float64]
) -> float:
    """Return the volume that one point dominates and the others do not (WFG: While et al., 2012).

    It is the point's box less what the others dominate of it: most of them fall behind a few of their own.
    """
    if (one >= reference).any():
        return 0.0
    box = float(np.prod(reference - one))
    within = np.maximum(points, one)
    if not len(within):
        return box
    others = moocore.hypervolume(moocore.filter_dominated(within), ref=reference)
    return max(0.0, box - float(others))


def _reference_costs(
    objectives: Sequence[Objective], reference_point: Sequence[float]
) -> NDArray[np.float64]:
    metrics = [objective.metric for objective in objectives]
    reference: dict[str, float] = dict(zip(metrics, reference_point, strict=True))
    row: NDArray[np.float64] = costs(objectives, [reference])[0]
    return row


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
