"""Train what the table lacks: seed by seed, so that a table cut short has every network."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from api_schemas.trial_configuration import patch
from benchmarks import json_lines
from benchmarks.network_table.networks import Network, networks
from benchmarks.peft_table.record import SEEDS, key_of, provenance
from benchmarks.peft_table.training import train
from workers.model_cache import ModelCache

FOLDER = Path(__file__).parents[1] / "results" / "network_table"


def record(tasks: Sequence[str], *, folder: Path = FOLDER) -> None:
    """Run every training that is missing.

    Raises:
        service.errors.UnknownTask: If the package of a task is not installed.
    """
    torch.set_num_threads(1)
    cache = ModelCache(None, device=torch.device("cpu"))
    done = {task: {key_of(line) for line in json_lines.read(folder / f"{task}.jsonl")} for task in tasks}
    for seed, task, network in cells(tasks):
        if (network.name, seed) not in done[task]:
            line = trained(network, seed, task=task, cache=cache)
            json_lines.append(folder / f"{task}.jsonl", line)
            score = line["validation"] and line["validation"]["score"]
            print(f"{task} {network.name} seed {seed}: {score}, {line['cpu_seconds']} s", flush=True)


def cells(tasks: Sequence[str]) -> Iterator[tuple[int, str, Network]]:
    """Yield the trainings of the table."""
    for seed in SEEDS:
        for of_tasks in zip(*(networks(task) for task in tasks), strict=True):
            for task, network in zip(tasks, of_tasks, strict=True):
                yield seed, task, network


def trained(network: Network, seed: int, *, task: str, cache: ModelCache) -> dict[str, Any]:
    """Run one training and return its line."""
    found = train(patch(network.configuration, {"training.seed": seed}), cache=cache)
    return {
        "task": task,
        "name": network.name,
        "seed": seed,
        "point": network.point,
        **{name: value for name, value in found.items() if name not in ("curve", "seconds")},
        "provenance": provenance(),
    }
