"""One axis for each task: test score against trained parameters."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from api_schemas.search_space import PresetName
from benchmarks.autopeft.protocol import MANUAL
from benchmarks.autopeft.summary import Entry, TaskSummary

COLUMNS = 2
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F", "#8C564B")
"""Okabe and Ito's palette, told apart by colour-blind readers, and two more."""

LINES = ({"color": "black", "linestyle": "-"}, {"color": "#5A5A5A", "linestyle": "--"})
"""A line for each searched space, in the protocol's order."""


def plot(sides: Mapping[PresetName, Mapping[str, TaskSummary]], *, path: Path) -> None:
    """Draw means with a standard deviation of the seeds; a search's members are joined by a line."""
    tasks = list(dict.fromkeys(task for summaries in sides.values() for task in summaries))
    columns = min(COLUMNS, len(tasks))
    rows = -(-len(tasks) // columns)
    figure = Figure(figsize=(max(7.0, 5.2 * columns), 3.6 * rows + 0.8), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, task in zip(axes, tasks, strict=False):
        _draw(axis, {preset: summaries[task] for preset, summaries in sides.items() if task in summaries})
    for axis in axes[len(tasks) :]:
        axis.set_visible(False)
    handles, labels = [], list[str]()
    for axis in axes[: len(tasks)]:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            if label not in labels:
                handles.append(handle)
                labels.append(label)
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=9, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def _draw(axis: Axes, sides: Mapping[PresetName, TaskSummary]) -> None:
    for (preset, one), line in zip(sides.items(), LINES, strict=False):
        _points(axis, one.searched, label=f"searched: {preset.value}", marker="o", linewidth=1.6, **line)
    one = next(iter(sides.values()))
    colours = dict(zip(MANUAL, COLOURS, strict=True))
    for entry in one.manual:
        _points(axis, [entry], label=entry.name, color=colours[entry.name], marker="s", linestyle="none")
    for entry in (entry for side in sides.values() for entry in side.transferred):
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
