"""What a finished study leaves behind: the front as a table, as JSON and as a plot, and what it proves."""

from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from api_schemas.pareto import FrontBasis, ParetoFront, ParetoPoint
from api_schemas.peft.description import describe_modules
from api_schemas.trials import TrialRead, TrialState
from paretune.front_plot import plot_front
from paretune.numbers import format_with_error, metric_title

COLLAPSED = " (collapsed: predicts one thing for every input)"


def front_table(front: ParetoFront, trials: Sequence[TrialRead]) -> Table:
    """Show the front, best first objective first, with what each point consists of.

    Means over several seeds carry their standard errors, and what is believed its deviation, beside the
    chance of being on the front. A collapsed point is flagged.
    """
    by_id = {trial.id: trial for trial in trials}
    task = None if trials[0].configuration is None else trials[0].configuration.task
    kind = "Believed Pareto front" if front.by is FrontBasis.BELIEVED else "Pareto front"
    believed = list(dict.fromkeys(name for point in front.points for name in point.believed))
    table = Table(title=f"{kind} after {front.sequence} results")
    table.add_column("trial", justify="right")
    for objective in front.objectives:
        heading = metric_title(objective.metric, task, objective.direction.value)
        table.add_column(heading, justify="right")
    for name in believed:
        table.add_column(f"{metric_title(name, None)}, believed", justify="right")
    if believed:
        table.add_column("chance", justify="right")
    if task is not None:
        table.add_column("test score", justify="right")
    several_seeds = any(point.seeds > 1 for point in front.points)
    if several_seeds:
        table.add_column("seeds", justify="right")
    table.add_column("parameters" if task is None else "modules")
    for point in front.points:
        table.add_row(
            str(point.number),
            *(
                format_with_error(
                    objective.metric, point.metrics, point.metric_standard_errors, custom=task is None
                )
                for objective in front.objectives
            ),
            *(_believed_text(point, name, custom=task is None) for name in believed),
            *([_chance_text(point)] if believed else []),
            *([] if task is None else [_test_score_text(point)]),
            *([str(point.seeds)] if several_seeds else []),
            trial_in_words(by_id[point.trial_id]) + (COLLAPSED if point.collapsed else ""),
        )
    return table


def compare_with_probe(front: ParetoFront, trials: Sequence[TrialRead]) -> str | None:
    """Return whether a point of the front beats the best linear probe of its study; None without a probe."""
    probes = [
        trial
        for trial in trials
        if trial.state is TrialState.SUCCEEDED
        and trial.configuration
        and trial.configuration.is_head_only
        and "score" in trial.metrics
    ]
    tuned = [point for point in front.points if not point.is_head_only]
    if not probes:
        return None
    probe = max(probes, key=lambda trial: trial.metrics["score"])
    better = [point for point in tuned if point.metrics["score"] > probe.metrics["score"]]
    if not better:
        return (
            f"No point of the front beats the linear probe (trial {probe.number}, "
            f"score {probe.metrics['score']:.4f}): the backbone as it stands may be enough."
        )
    best = max(better, key=lambda point: point.metrics["score"])
    return (
        f"{len(better)} of {len(front.points)} points of the front beat the linear probe "
        f"(trial {probe.number}: validation {probe.metrics['score']:.4f}, "
        f"test {_test_score(probe.test_metrics)}). "
        f"Best: trial {best.number}, validation {best.metrics['score']:.4f}, "
        f"test {_test_score(best.test_metrics)}, "
        f"{best.metrics['trainable_parameters']:,.0f} trained parameters."
    )


def write_front(front: ParetoFront, trials: Sequence[TrialRead], *, folder: Path) -> tuple[Path, Path]:
    """Write `pareto_front.json` and `pareto_front.png`; give both paths."""
    folder.mkdir(parents=True, exist_ok=True)
    as_json, as_plot = folder / "pareto_front.json", folder / "pareto_front.png"
    as_json.write_text(front.model_dump_json(indent=2) + "\n", encoding="utf-8")
    plot_front(front, trials, path=as_plot)
    return as_json, as_plot


def _believed_text(point: ParetoPoint, name: str, *, custom: bool) -> str:
    if name not in point.believed:
        return ""
    mean, deviation = point.believed[name].mean, point.believed[name].standard_deviation
    return format_with_error(name, {name: mean}, {name: deviation}, custom=custom)


def _chance_text(point: ParetoPoint) -> str:
    return "" if point.front_probability is None else f"{point.front_probability:.0%}"


def trial_in_words(trial: TrialRead) -> str:
    """Return what a trial trains in a few words, or the parameters of a custom one."""
    if trial.configuration is not None:
        return describe_modules(trial.configuration)
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in trial.parameters.items()
    )


def _test_score_text(point: ParetoPoint) -> str:
    return format_with_error("score", point.test_metrics, point.test_metric_standard_errors, custom=False)


def _test_score(test_metrics: dict[str, float]) -> str:
    return f"{test_metrics['score']:.4f}" if "score" in test_metrics else "not measured"
