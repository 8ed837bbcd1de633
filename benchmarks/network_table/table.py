"""The recorded sub-networks as tables that games are played on; their cost is operations for each token."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from api_schemas.exact_metrics import exact_metrics
from api_schemas.objectives import Metric, Objective
from benchmarks.network_table.networks import base, networks, space
from benchmarks.network_table.record import FOLDER
from benchmarks.peft_table.configurations import searched_shape
from benchmarks.peft_table.table import Cells, Table, measured, shared_cells

OBJECTIVES = (
    Objective.model_validate({"metric": Metric.SCORE, "direction": "maximize"}),
    Objective.model_validate({"metric": Metric.FLOPS, "direction": "minimize"}),
)


def read_network_tables(tasks: Sequence[str], *, folder: Path = FOLDER) -> list[Table]:
    """Return a table for each task, all with the same networks in the same order."""
    return [_table(task, cells) for task, cells in shared_cells(tasks, folder=folder).items()]


def _table(task: str, cells: Sequence[Cells]) -> Table:
    by_name = {network.name: network for network in networks(task)}
    found = [by_name[of_one[0]["name"]] for of_one in cells]
    shape = searched_shape()
    costs = [exact_metrics(one.configuration, shape=shape, classes=2)[Metric.FLOPS] for one in found]
    return Table(
        task=task,
        base=base(task),
        space=space(),
        objectives=OBJECTIVES,
        names=tuple(one.name for one in found),
        origins=tuple(one.origin for one in found),
        configurations=tuple(one.configuration for one in found),
        points=tuple(one.point for one in found),
        cost=np.array(costs),
        **measured(cells),
    )
