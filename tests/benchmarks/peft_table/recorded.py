"""A small table as if it had been recorded: lines on disk, and tables read from them."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.autopeft.protocol import TASKS
from benchmarks.peft_table.configurations import Entry
from benchmarks.peft_table.record import SEEDS, entries
from benchmarks.peft_table.table import Table, read_tables

CONFIGURATIONS = 60


@cache
def listed(task: str) -> list[Entry]:
    """Return the configurations; sampling them takes two seconds."""
    return entries(task, CONFIGURATIONS)


def line_of(task: str, number: int, seed: int, *, diverged: bool = False) -> dict[str, Any]:
    """Return a line that a training could have written; scores grow with the number of parameters."""
    entry = listed(task)[number]
    rng = np.random.default_rng([number, seed, len(task)])
    parameters = 1000 * (1 + number)
    score = round(0.5 + 0.05 * float(np.log10(1 + number)) + 0.01 * float(rng.standard_normal()), 4)
    split = None if diverged else {"score": score, "loss": 1 - score, "right": ""}
    return {
        "task": task,
        "name": entry.name,
        "origin": entry.origin,
        "seed": seed,
        "peft": entry.configuration.peft.model_dump(mode="json", exclude_defaults=True),
        "learning_rate": entry.configuration.training.learning_rate,
        "validation": split,
        "test": split,
        "trainable_parameters": parameters,
        "cpu_seconds": 1.0,
    }


def recorded_tables(folder: Path) -> list[Table]:
    """Write every line of a small table and read it back."""
    for task in TASKS:
        lines = [line_of(task, number, seed) for number in range(CONFIGURATIONS) for seed in SEEDS]
        (folder / f"{task}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return read_tables(TASKS, folder=folder)
