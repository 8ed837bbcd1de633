"""The recorded table as arrays: configurations by seeds. Knows nothing about who chooses among them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import moocore
import numpy as np
from jaxtyping import Float64

from api_schemas.objectives import Objective
from api_schemas.search_space import Parameterization, SearchSpace
from api_schemas.trial_configuration import TrialConfiguration
from benchmarks import json_lines
from benchmarks.autopeft.protocol import OBJECTIVES, base_configuration
from benchmarks.peft_table.configurations import searched_shape
from benchmarks.peft_table.nearest import point_of, space
from benchmarks.peft_table.record import FOLDER, SEEDS, configuration_of

Cells = Sequence[dict[str, Any]]
"""The lines of one configuration, in the order of its seeds."""


@dataclass(frozen=True)
class Table:
    """What was measured on one task, for the n configurations that have all of their s seeds.

    Training that diverged scores as guessing does. `cost` is the second objective: what is trained, or what
    a network computes. A row is a point of the space, patched over the base, or None.
    """

    task: str
    base: TrialConfiguration
    space: SearchSpace
    objectives: tuple[Objective, Objective]
    names: tuple[str, ...]
    origins: tuple[str, ...]
    configurations: tuple[TrialConfiguration, ...]
    points: tuple[Parameterization | None, ...]
    cost: Float64[np.ndarray, " n"]
    validation: Float64[np.ndarray, "n s"]
    test: Float64[np.ndarray, "n s"]
    validation_loss: Float64[np.ndarray, "n s"]
    cpu_seconds: Float64[np.ndarray, "n s"]
    guessing: float

    def __len__(self) -> int:
        return len(self.names)

    def rows(self, origin: str) -> list[int]:
        """Return the rows of a method set by hand, or of `auto`."""
        return [row for row, one in enumerate(self.origins) if one == origin]

    def dominated(self, rows: Sequence[int], scores: Float64[np.ndarray, " n"]) -> float:
        """Return the hypervolume of some rows: scores above guessing, against log10 of the cost."""
        cost = np.log10(self.cost)
        points = np.stack([-scores, cost], axis=1)[list(rows)]
        return float(moocore.hypervolume(points, ref=np.array([-self.guessing, cost.max() + 0.1])))


def read_tables(tasks: Sequence[str], *, folder: Path = FOLDER) -> list[Table]:
    """Return a table for each task, all with the same configurations in the same order."""
    return [_table(task, lines) for task, lines in shared_cells(tasks, folder=folder).items()]


def shared_cells(tasks: Sequence[str], *, folder: Path) -> dict[str, list[Cells]]:
    """Return for each task the lines of what has all seeds on every one of them, in the same order."""
    lines = {task: _complete(json_lines.read(folder / f"{task}.jsonl")) for task in tasks}
    shared = [name for name in lines[tasks[0]] if all(name in lines[task] for task in tasks)]
    return {task: [lines[task][name] for name in shared] for task in tasks}


def _complete(lines: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return the lines of each configuration that has all seeds, in the order of the seeds."""
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for line in lines:
        found.setdefault(line["name"], {})[line["seed"]] = line
    return {
        name: [by_seed[seed] for seed in SEEDS]
        for name, by_seed in found.items()
        if set(SEEDS) <= by_seed.keys()
    }


def _table(task: str, cells: Sequence[Cells]) -> Table:
    first = [of_one[0] for of_one in cells]
    configurations = tuple(map(configuration_of, first))
    return Table(
        task=task,
        base=base_configuration(task, shape=searched_shape()),
        space=space(),
        objectives=OBJECTIVES,
        names=tuple(line["name"] for line in first),
        origins=tuple(line["origin"] for line in first),
        configurations=configurations,
        points=tuple(map(point_of, configurations)),
        cost=np.array([float(line["trainable_parameters"]) for line in first]),
        **measured(cells),
    )


def measured(cells: Sequence[Cells]) -> dict[str, Any]:
    """Return what was measured of each line's training, as fields of a table."""
    # A network that answers nothing scores as the least that any training reached.
    guessing = min(line["test"]["score"] for of_one in cells for line in of_one if line["test"])

    def values(split: str, name: str, *, diverged: float) -> Float64[np.ndarray, "n s"]:
        return np.array(
            [[line[split][name] if line[split] else diverged for line in of_one] for of_one in cells]
        )

    losses = [line["validation"]["loss"] for of_one in cells for line in of_one if line["validation"]]
    return {
        "validation": values("validation", "score", diverged=guessing),
        "test": values("test", "score", diverged=guessing),
        "validation_loss": values("validation", "loss", diverged=max(losses)),
        "cpu_seconds": np.array([[line["cpu_seconds"] for line in of_one] for of_one in cells]),
        "guessing": guessing,
    }
