"""Hypervolume of benchmark results, normalised by the best that is possible.

Objectives are minimised after a sign flip, and those in `LOG_METRICS` are on their log10, as
everywhere in Paretune.
"""

from collections.abc import Mapping, Sequence

import moocore
import numpy as np
from numpy.typing import NDArray

from api_schemas.objectives import LOG_METRICS, Direction, Objective, OutcomeConstraint


def costs(objectives: Sequence[Objective], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Put n x m metric values on the scales of the hypervolume: less is better in every column."""
    columns = [
        (1.0 if objective.direction is Direction.MINIMIZE else -1.0)
        * (np.log10(np.maximum(column, 1.0)) if objective.metric in LOG_METRICS else column)
        for objective, column in zip(objectives, np.asarray(values, dtype=np.float64).T, strict=True)
    ]
    return np.stack(columns, axis=1)


def hypervolume(objectives: Sequence[Objective], values: NDArray[np.float64]) -> float:
    """Measure what n x m metric values dominate within the objectives' references."""
    reference = costs(objectives, np.array([[one.reference for one in objectives]], dtype=np.float64))[0]
    points = costs(objectives, values)
    inside = points[(points < reference).all(axis=1)]
    return float(moocore.hypervolume(inside, ref=reference)) if len(inside) else 0.0


def feasible(constraints: Sequence[OutcomeConstraint], metrics: Mapping[str, float] | None) -> bool:
    """Return whether a trial ran and kept every limit."""
    return metrics is not None and all(one.holds(metrics[one.metric]) for one in constraints)
