"""What a finished study leaves behind: the front as a table, as JSON and as a plot, and what it proves."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
from rich.table import Table

from api_schemas.library_parameters import SIZES
from api_schemas.objectives import LOG_METRICS, Direction, Metric
from api_schemas.pareto import ParetoFront, ParetoPoint
from api_schemas.peft import Peft
from api_schemas.peft_methods import PROMPT_METHODS, SETTINGS, TARGETED, PeftMethod
from api_schemas.trial_configuration import TrialConfiguration
from api_schemas.trials import TrialRead, TrialState
from paretune.numbers import format_with_error

matplotlib.use("Agg")

FRONT_COLOUR = "#0072B2"  # Okabe-Ito blue and vermillion: safe for the colour-blind
PROBE_COLOUR = "#D55E00"

COLLAPSED = " (collapsed: predicts one thing for every input)"


def front_table(front: ParetoFront, trials: Sequence[TrialRead]) -> Table:
    """Show the front, best first objective first, with what each point consists of.

    Means over several seeds carry their standard errors. A collapsed point is flagged.
    """
    configurations = {trial.id: trial.configuration for trial in trials}
    table = Table(title=f"Pareto front after {front.sequence} results")
    table.add_column("trial", justify="right")
    for objective in front.objectives:
        table.add_column(f"{objective.metric} ({objective.direction})", justify="right")
    table.add_column("test score", justify="right")
    several_seeds = any(point.seeds > 1 for point in front.points)
    if several_seeds:
        table.add_column("seeds", justify="right")
    table.add_column("modules")
    for point in front.points:
        table.add_row(
            str(point.number),
            *(
                format_with_error(objective.metric, point.metrics, point.metric_standard_errors)
                for objective in front.objectives
            ),
            format_with_error("score", point.test_metrics, point.test_metric_standard_errors),
            *([str(point.seeds)] if several_seeds else []),
            describe_modules(configurations[point.trial_id]) + (COLLAPSED if point.collapsed else ""),
        )
    return table


def describe_modules(configuration: TrialConfiguration) -> str:
    """Say in a few words what a configuration trains."""
    if configuration.is_head_only:
        return "head only (linear probe)"
    peft = configuration.peft
    if peft.method is not PeftMethod.MODULES:
        return _describe_library(peft)
    sizes = {
        "serial": peft.serial_adapter.bottleneck_size,
        "parallel": peft.parallel_adapter.bottleneck_size,
        "prefix": peft.prefix_tuning.length,
        "LoRA": peft.lora.rank,
    }
    modules = " + ".join(f"{name} {size}" for name, size in sizes.items() if size)
    layers = [str(number) for number, on in enumerate(peft.active_layers or ()) if on]
    return f"{modules} on layers {','.join(layers)}"


def _describe_library(peft: Peft) -> str:
    read = SETTINGS[peft.method]
    sizes = [f"{name} {getattr(peft.library, name)}" for name in SIZES if name in read]
    words = ", ".join([peft.method.value, *sizes])
    if peft.method in TARGETED:
        words += f" on {','.join(peft.library.targets)}"
    if peft.method in PROMPT_METHODS:
        return words
    layers = [str(number) for number, on in enumerate(peft.active_layers or ()) if on]
    return f"{words} of layers {','.join(layers)}"


def compare_with_probe(front: ParetoFront, trials: Sequence[TrialRead]) -> str | None:
    """Say whether a point of the front beats the linear probe of the same study; None without a probe."""
    probes = [
        trial for trial in trials if trial.state is TrialState.SUCCEEDED and trial.configuration.is_head_only
    ]
    tuned = [point for point in front.points if not point.is_head_only]
    if not probes or "score" not in probes[0].metrics:
        return None
    probe = probes[0]
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


def best_point(front: ParetoFront) -> ParetoPoint:
    """Give the point that is best in the first objective."""
    return front.points[0]


def write_front(front: ParetoFront, trials: Sequence[TrialRead], *, folder: Path) -> tuple[Path, Path]:
    """Write `pareto_front.json` and `pareto_front.png`; give both paths."""
    folder.mkdir(parents=True, exist_ok=True)
    as_json, as_plot = folder / "pareto_front.json", folder / "pareto_front.png"
    as_json.write_text(front.model_dump_json(indent=2) + "\n", encoding="utf-8")
    _plot(front, trials, path=as_plot)
    return as_json, as_plot


def _plot(front: ParetoFront, trials: Sequence[TrialRead], *, path: Path) -> None:
    from matplotlib.figure import Figure

    vertical = front.objectives[0]
    horizontal = front.objectives[1] if len(front.objectives) > 1 else None
    x_metric = horizontal.metric if horizontal else Metric.TRAINABLE_PARAMETERS
    y_metric = vertical.metric
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    done = [trial for trial in trials if trial.state is TrialState.SUCCEEDED]
    axes.scatter(
        [trial.metrics[x_metric] for trial in done],
        [trial.metrics[y_metric] for trial in done],
        color="0.7", s=24, label="dominated",
    )  # fmt: skip
    points = sorted(front.points, key=lambda point: point.metrics[x_metric])
    x = [point.metrics[x_metric] for point in points]
    y = [point.metrics[y_metric] for point in points]
    falling = horizontal is not None and horizontal.direction is Direction.MAXIMIZE
    axes.step(x, y, where="pre" if falling else "post", color=FRONT_COLOUR, linewidth=1.2)
    axes.scatter(x, y, color=FRONT_COLOUR, s=44, zorder=3, label="Pareto front")
    probes = [trial for trial in done if trial.configuration.is_head_only]
    axes.scatter(
        [trial.metrics[x_metric] for trial in probes],
        [trial.metrics[y_metric] for trial in probes],
        marker="D", facecolors="none", edgecolors=PROBE_COLOUR, s=90, zorder=4, label="linear probe",
    )  # fmt: skip
    for point in points:
        axes.annotate(
            str(point.number), (point.metrics[x_metric], point.metrics[y_metric]),
            xytext=(4, 6), textcoords="offset points", fontsize=8,
        )  # fmt: skip
    if x_metric in LOG_METRICS:
        axes.set_xscale("log")
    if y_metric in LOG_METRICS:
        axes.set_yscale("log")
    axes.set_xlabel(x_metric.replace("_", " "))
    axes.set_ylabel(f"{y_metric.replace('_', ' ')} (validation)")
    axes.grid(visible=True, alpha=0.25)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=150)


def _test_score(test_metrics: dict[str, float]) -> str:
    return f"{test_metrics['score']:.4f}" if "score" in test_metrics else "not measured"
