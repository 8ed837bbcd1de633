"""One image for each family of problems: hypervolume against trials."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.optimiser.results import Run

COLUMNS = 3
OURS = "paretune"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F", "#8C564B", "#BCBD22")
"""Okabe and Ito's palette, told apart by colour-blind readers, and two more."""

DASHES = ("-", "--", ":")


def plot_family(results: Mapping[str, Mapping[str, Sequence[Run]]], *, path: Path, title: str) -> None:
    """Draw the mean over seeds, with one standard error as a band, on one axis for each problem."""
    rows = -(-len(results) // COLUMNS)
    columns = min(COLUMNS, len(results))
    figure = Figure(figsize=(max(8.0, 4.2 * columns), 3.2 * rows + 0.9), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    proposers = sorted({proposer for runs in results.values() for proposer in runs})
    styles = {name: _style(name, proposers) for name in proposers}
    for axis, (name, runs) in zip(axes, results.items(), strict=False):
        for proposer, found in sorted(runs.items()):
            _draw(axis, found, **styles[proposer])
        axis.set_title(name, fontsize=10)
        axis.grid(alpha=0.25)
    for axis in axes[len(results) :]:
        axis.set_visible(False)
    figure.suptitle(f"{title}: share of the best hypervolume against trials", fontsize=11)
    handles = [mpl.lines.Line2D([], [], label=name, **styles[name]) for name in proposers]
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=4 if columns < COLUMNS else 5,
        fontsize=9,
        frameon=False,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def _draw(axis: Axes, runs: Sequence[Run], **style: Any) -> None:
    length = min(run.trials for run in runs)
    curves = np.array([run.hypervolume[:length] for run in runs])
    trials = np.arange(1, length + 1)
    mean = curves.mean(axis=0)
    axis.plot(trials, mean, **style)
    if len(curves) > 1:
        error = curves.std(axis=0, ddof=1) / np.sqrt(len(curves))
        axis.fill_between(trials, mean - error, mean + error, color=style["color"], alpha=0.15, linewidth=0)


def _style(name: str, proposers: Sequence[str]) -> dict[str, Any]:
    if name == OURS:
        return {"color": "black", "linewidth": 2.4, "linestyle": "-"}
    at = [one for one in proposers if one != OURS].index(name)
    return {
        "color": COLOURS[at % len(COLOURS)],
        "linewidth": 1.3,
        "linestyle": DASHES[at // len(COLOURS) % len(DASHES)],
    }
