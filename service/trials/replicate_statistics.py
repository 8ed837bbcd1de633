"""The mean over replicates and how far to trust it. Pure arithmetic; knows no database."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev


def means(replicates: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Average each metric that every replicate has."""
    return {name: fmean(values) for name, values in _columns(replicates).items()}


def standard_errors(replicates: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return s / sqrt(n) for each metric, s the sample standard deviation; nothing for a single replicate."""
    if len(replicates) < 2:
        return {}
    return {name: stdev(values) / math.sqrt(len(values)) for name, values in _columns(replicates).items()}


def _columns(replicates: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    if not replicates:
        return {}
    shared = set.intersection(*(set(metrics) for metrics in replicates))
    return {name: [metrics[name] for metrics in replicates] for name in replicates[0] if name in shared}
