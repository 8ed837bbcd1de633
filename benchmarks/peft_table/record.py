"""Train what the table lacks, one configuration after the other: all tasks, all seeds.

One JSON line a training, appended as it ends; a second run goes on where the first stopped. Two processes may
fill the table together if each has its own tasks.
"""

import platform
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from api_schemas.trial_configuration import TrialConfiguration, patch
from benchmarks import json_lines
from benchmarks.autopeft.protocol import base_configuration
from benchmarks.peft_table.configurations import Entry, by_hand, sampled, searched_shape
from benchmarks.peft_table.training import train
from workers.model_cache import ModelCache

SEEDS = (0, 1, 2)
FOLDER = Path(__file__).parents[1] / "results" / "peft_table"
LIBRARIES = ("paretune", "torch", "transformers", "peft")
CACHE_BYTES = 2**31


def record(tasks: Sequence[str], *, configurations: int, folder: Path = FOLDER) -> None:
    """Run every training that is missing, the methods by hand first.

    Raises:
        service.errors.UnknownTask: If the package of a task is not installed.
    """
    torch.set_num_threads(1)
    cache = ModelCache(None, device=torch.device("cpu"), activation_cache_bytes=CACHE_BYTES)
    done = {task: {key_of(line) for line in json_lines.read(folder / f"{task}.jsonl")} for task in tasks}
    for task, entry, seed in cells(tasks, configurations):
        if (entry.name, seed) not in done[task]:
            line = trained(entry, seed, task=task, cache=cache)
            json_lines.append(folder / f"{task}.jsonl", line)
            score = line["validation"] and line["validation"]["score"]
            print(f"{task} {entry.name} seed {seed}: {score}, {line['cpu_seconds']} s", flush=True)


def cells(tasks: Sequence[str], configurations: int) -> Iterator[tuple[str, Entry, int]]:
    """Yield the trainings of a table of so many configurations, those of one configuration together."""
    listed = [entries(task, configurations) for task in tasks]
    for of_tasks in zip(*listed, strict=True):
        for task, entry in zip(tasks, of_tasks, strict=True):
            for seed in SEEDS:
                yield task, entry, seed


@cache
def entries(task: str, configurations: int) -> list[Entry]:
    """Return the first so many configurations of the table, for a task."""
    shape = searched_shape()
    base = base_configuration(task, shape=shape)
    manual = by_hand(base)
    return (manual + sampled(base, max(0, configurations - len(manual)), shape=shape))[:configurations]


def trained(entry: Entry, seed: int, *, task: str, cache: ModelCache) -> dict[str, Any]:
    """Run one training and return its line."""
    configuration = patch(entry.configuration, {"training.seed": seed})
    return {
        "task": task,
        "name": entry.name,
        "origin": entry.origin,
        "seed": seed,
        "peft": entry.configuration.peft.model_dump(mode="json", exclude_defaults=True),
        "learning_rate": entry.configuration.training.learning_rate,
        **train(configuration, cache=cache),
        "provenance": provenance(),
    }


def provenance() -> dict[str, str]:
    """Return the versions that a training depends on."""
    return {name: version(name) for name in LIBRARIES} | {"python": platform.python_version()}


def key_of(line: dict[str, Any]) -> tuple[str, int]:
    """Return what tells a training from the others of its task."""
    return line["name"], line["seed"]


def configuration_of(line: dict[str, Any]) -> TrialConfiguration:
    """Return the configuration of a line."""
    base = base_configuration(line["task"], shape=searched_shape())
    rate = base.training.model_copy(update={"learning_rate": line["learning_rate"], "seed": line["seed"]})
    posted = base.model_dump(mode="json") | {"peft": line["peft"], "training": rate.model_dump(mode="json")}
    return TrialConfiguration.model_validate(posted)
