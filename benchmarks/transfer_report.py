"""The table and the image of `python -m benchmarks.transfer`, written into `docs/optimiser.md`."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from benchmarks.markdown import markdown_table, replace_between

BEGIN, END = (
    "<!-- transfer: begin (written by python -m benchmarks.transfer) -->",
    "<!-- transfer: end -->",
)
SHARES = (0.93, 0.95, 0.97)
CHECKPOINTS = (5, 10, 20, 40, 80)
NAMES = {
    "none": "none",
    "former": "cifar10",
    "negated": "its scores negated",
    "shuffled": "its scores dealt anew",
}
COLOURS = {"none": "black", "former": "#0072B2", "negated": "#D55E00", "shuffled": "#E69F00"}

Curves = Mapping[str, Mapping[str, Sequence[Sequence[float]]]]
"""Of each target and kind of former study: the share of the exact hypervolume after each trial, by seed."""


def write_report(curves: Curves, *, document: Path, image: Path) -> None:
    """Replace what stands between the markers, and draw the means.

    Raises:
        ValueError: the document lacks the markers.
    """
    body = f"![Share of the exact hypervolume](images/{image.name})\n\n{table(curves)}"
    replace_between(document, (BEGIN, END), body)
    plot(curves, path=image)


def table(curves: Curves) -> str:
    """Return a row for each target and kind of former study that has runs."""
    shares = ", ".join(f"{share:.0%}" for share in SHARES)
    header = [
        "target",
        "former study",
        "seeds",
        f"after {', '.join(map(str, CHECKPOINTS))} trials",
        f"trials of the mean to {shares}",
        f"median seed to {SHARES[-1]:.0%}",
        f"seeds that reach {SHARES[-1]:.0%}",
        "area against none",
    ]
    rows = [
        _row(target, kind, found, alone=kinds["none"])
        for target, kinds in curves.items()
        for kind, found in kinds.items()
        if found
    ]
    return markdown_table(header, rows)


def _row(
    target: str, kind: str, found: Sequence[Sequence[float]], *, alone: Sequence[Sequence[float]]
) -> list[str]:
    mean = np.mean(found, axis=0).tolist()
    reached = [trials_to(curve, SHARES[-1]) for curve in found]
    after = (mean[count - 1] for count in CHECKPOINTS if count <= len(mean))
    return [
        target,
        NAMES[kind],
        str(len(found)),
        " ".join(f"{share:.3f}" for share in after),
        ", ".join(_count(trials_to(mean, share), of=len(mean)) for share in SHARES),
        _count(median_trials(reached), of=len(mean)),
        str(sum(count is not None for count in reached)),
        "" if kind == "none" else f"{float(np.mean(found) / np.mean(alone)) - 1:+.1%}",
    ]


def trials_to(curve: Sequence[float], share: float) -> int | None:
    """Count the trials to the share; None if they were too few."""
    return next((count for count, value in enumerate(curve, start=1) if value >= share), None)


def median_trials(reached: Sequence[int | None]) -> float | None:
    """Return the median; a seed that was too short counts as slowest, and None is one of those."""
    middle = statistics.median(float("inf") if count is None else float(count) for count in reached)
    return middle if middle < float("inf") else None


def plot(curves: Curves, *, path: Path) -> None:
    """Draw the mean over seeds, with one standard error as a band, on one axis for each target."""
    figure = Figure(figsize=(9.0, 3.8), layout="constrained")
    for axis, (target, kinds) in zip(
        figure.subplots(1, len(curves), squeeze=False)[0], curves.items(), strict=True
    ):
        for kind, found in kinds.items():
            if not found:
                continue
            values = np.array(found)
            trials, mean = np.arange(1, values.shape[1] + 1), values.mean(axis=0)
            error = values.std(axis=0, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
            axis.plot(trials, mean, color=COLOURS[kind], label=NAMES[kind])
            axis.fill_between(
                trials, mean - error, mean + error, color=COLOURS[kind], alpha=0.15, linewidth=0
            )
        axis.axhline(SHARES[-1], color="grey", linewidth=0.8, linestyle=":")
        axis.set(title=target, xlabel="trials", ylim=(0.8, 1.0))
        axis.grid(alpha=0.25)
        axis.legend(title="former study", fontsize=8, frameon=False, loc="lower right")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def _count(trials: float | None, *, of: int) -> str:
    return f">{of}" if trials is None else f"{trials:g}"
