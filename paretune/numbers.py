"""Numbers as a person reads them."""

from collections.abc import Mapping

from api_schemas.objectives import KNOWN_METRICS, Metric
from api_schemas.tasks import Task

COUNTS = KNOWN_METRICS | {Metric.PEAK_MEMORY_BYTES}


def metric_title(metric: str, task: Task | None, remark: str = "") -> str:
    """Name a metric in a heading: `score (macro F1, maximize)`. A custom study has no task."""
    score = task.resolved_score.label if task and metric == Metric.SCORE else ""
    remarks = ", ".join(words for words in (score, remark) if words)
    return metric.replace("_", " ") + (f" ({remarks})" if remarks else "")


def format_metric(metric: str, value: float, *, custom: bool) -> str:
    """Write a metric: counts with thousands separators, everything else with four digits.

    In a custom study the name of a metric says nothing.
    """
    return f"{value:,.0f}" if metric in COUNTS and not custom else f"{value:.4g}"


def format_with_error(
    name: str, metrics: Mapping[str, float], standard_errors: Mapping[str, float], *, custom: bool
) -> str:
    """Write a mean with its standard error, where it has one; an empty text for a missing metric."""
    if name not in metrics:
        return ""
    error = standard_errors.get(name, 0.0)
    written = format_metric(name, metrics[name], custom=custom)
    return written + (f" ± {format_metric(name, error, custom=custom)}" if error else "")


def format_duration(seconds: float) -> str:
    """Write a duration in the two largest of its units."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
