"""One axis for each task: test score against trained parameters."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.autopeft.protocol import MANUAL
from benchmarks.autopeft.summary import Entry, TaskSummary

COLUMNS = 2
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F", "#8C564B")
"""Okabe and Ito's palette, told apart by colour-blind readers, and two more."""


def plot(summaries: Sequence[TaskSummary], *, path: Path) -> None:
    """Draw means with a standard deviation of the seeds; the search's members are joined by a line."""
    columns = min(COLUMNS, len(summaries))
    rows = -(-len(summaries) // columns)
    figure = Figure(figsize=(max(7.0, 5.2 * columns), 3.6 * rows + 0.8), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, one in zip(axes, summaries, strict=False):
        _draw(axis, one)
    for axis in axes[len(summaries) :]:
        axis.set_visible(False)
    handles, labels = [], list[str]()
    for axis in axes[: len(summaries)]:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            if label not in labels:
                handles.append(handle)
                labels.append(label)
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=9, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def _draw(axis: Axes, one: TaskSummary) -> None:
    _points(axis, one.searched, label="searched", color="black", marker="o", linestyle="-", linewidth=1.6)
    colours = dict(zip(MANUAL, COLOURS, strict=True))
    for entry in one.manual:
        _points(axis, [entry], label=entry.name, color=colours[entry.name], marker="s", linestyle="none")
    for entry in one.transferred:
        marker = "D" if entry.name.startswith("best") else "^"
        _points(axis, [entry], label=entry.name, color="black", marker=marker, mfc="none", linestyle="none")
    axis.set_xscale("log")
    axis.set_title(one.task, fontsize=10)
    axis.set_xlabel("trained parameters", fontsize=9)
    axis.set_ylabel("test accuracy in %", fontsize=9)
    axis.grid(alpha=0.25)


def _points(axis: Axes, entries: Sequence[Entry], **style: Any) -> None:
    axis.errorbar(
        [entry.trainable_parameters for entry in entries],
        [100 * entry.mean for entry in entries],
        yerr=[100 * entry.deviation for entry in entries],
        capsize=2,
        markersize=5,
        elinewidth=0.9,
        **style,
    )
