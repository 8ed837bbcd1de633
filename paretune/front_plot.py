"""The front as a picture: measured trials, the staircase of the front, standard errors, what collapsed."""

from collections.abc import Sequence, Set
from functools import partial
from pathlib import Path
from typing import Any

from api_schemas.objectives import LOG_METRICS, Direction, Metric
from api_schemas.pareto import FrontBasis, ParetoFront, ParetoPoint
from api_schemas.trials import TrialRead, TrialState
from paretune.numbers import metric_title

FRONT_COLOUR = "#0072B2"  # Okabe and Ito's blue, vermillion and purple: safe for the colour-blind
PROBE_COLOUR = "#D55E00"
COLLAPSED_COLOUR = "#AA3377"
DOMINATED_COLOUR = "0.7"

NUMBER = "number"
"""Stands for the number of a trial on the axis of a lone custom objective."""


def plot_front(front: ParetoFront, trials: Sequence[TrialRead], *, path: Path) -> None:
    """Draw the first objective over the second; a lone one over trained parameters or trial numbers."""
    from matplotlib.figure import Figure

    task = None if trials[0].configuration is None else trials[0].configuration.task
    y = front.objectives[0].metric
    counts = frozenset[str]() if task is None else LOG_METRICS
    alone = NUMBER if task is None else Metric.TRAINABLE_PARAMETERS
    x = front.objectives[1].metric if len(front.objectives) > 1 else alone
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    done = [trial for trial in trials if trial.state is TrialState.SUCCEEDED]
    members = {point.trial_id for point in front.points}
    _scatter(
        axes, [trial for trial in done if trial.id not in members], x=x, y=y, counts=counts,
        color=DOMINATED_COLOUR, s=24, label="dominated",
    )  # fmt: skip
    _draw_front(axes, front, x=x, y=y, counts=counts)
    probes = [trial for trial in done if trial.configuration and trial.configuration.is_head_only]
    _scatter(
        axes, probes, x=x, y=y, counts=counts,
        marker="D", facecolors="none", edgecolors=PROBE_COLOUR, s=90, zorder=4, label="linear probe",
    )  # fmt: skip
    _scatter(
        axes, [trial for trial in done if trial.collapsed], x=x, y=y, counts=counts,
        marker="x", color=COLLAPSED_COLOUR, s=90, zorder=5, label="collapsed: one answer for every input",
    )  # fmt: skip
    logarithmic = counts | {objective.metric for objective in front.objectives if objective.log}
    if x in logarithmic:
        axes.set_xscale("log")
    if y in logarithmic:
        axes.set_yscale("log")
    axes.set_xlabel(metric_title(x, task))
    axes.set_ylabel(metric_title(y, task) + (", validation split" if task else ""))
    axes.grid(visible=True, alpha=0.25)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=150)


def _draw_front(axes: Any, front: ParetoFront, *, x: str, y: str, counts: Set[str]) -> None:
    points = sorted(map(partial(as_taken, front), front.points), key=lambda point: value_of(point, x, counts))
    falling = len(front.objectives) > 1 and front.objectives[1].direction is Direction.MAXIMIZE
    axes.step(
        [value_of(point, x, counts) for point in points], [value_of(point, y, counts) for point in points],
        where="pre" if falling else "post", color=FRONT_COLOUR, linewidth=1.2,
    )  # fmt: skip
    label = _label(front)
    _scatter(axes, points, x=x, y=y, counts=counts, color=FRONT_COLOUR, s=44, zorder=3, label=label)
    for point in points:
        axes.annotate(
            str(point.number), (value_of(point, x, counts), value_of(point, y, counts)),
            xytext=(5, 7), textcoords="offset points", fontsize=8,
        )  # fmt: skip


def as_taken(front: ParetoFront, point: ParetoPoint) -> ParetoPoint:
    """Return a point with the numbers that make the front: of a believed one, means and deviations."""
    if front.by is FrontBasis.OBSERVED:
        return point
    means = {name: one.mean for name, one in point.believed.items()}
    deviations = {name: one.standard_deviation for name, one in point.believed.items()}
    return point.model_copy(
        update={
            "metrics": point.metrics | means,
            "metric_standard_errors": point.metric_standard_errors | deviations,
        }
    )


def _label(front: ParetoFront) -> str:
    if front.by is FrontBasis.BELIEVED:
        return "believed Pareto front, bars: deviation"
    several = any(point.seeds > 1 for point in front.points)
    return "Pareto front" + (", bars: standard error" if several else "")


def _scatter(
    axes: Any,
    drawn: Sequence[TrialRead] | Sequence[ParetoPoint],
    *,
    x: str,
    y: str,
    counts: Set[str],
    **style: Any,
) -> None:
    """Draw points, each with a thin bar of one standard error where several seeds were trained."""
    if not drawn:
        return
    horizontal, vertical = ([value_of(item, metric, counts) for item in drawn] for metric in (x, y))
    errors = [[item.metric_standard_errors.get(metric, 0.0) for item in drawn] for metric in (x, y)]
    axes.scatter(horizontal, vertical, **style)
    axes.errorbar(
        horizontal, vertical, xerr=errors[0], yerr=errors[1],
        fmt="none", ecolor=style.get("color", PROBE_COLOUR), elinewidth=0.8, capsize=2.5, zorder=2,
    )  # fmt: skip


def value_of(item: TrialRead | ParetoPoint, metric: str, counts: Set[str]) -> float:
    """Return where a trial stands on the axis of a metric."""
    if metric == NUMBER:
        return float(item.number)
    value = item.metrics[metric]
    # As the service does: a count of zero has no logarithm and counts as one.
    return max(value, 1.0) if metric in counts else value
