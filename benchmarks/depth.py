"""What half the layers are worth: `python -m benchmarks.depth train` and `time`, then `report`.

Two backbones are cut to shares of their layers, the ones that importance chooses or the lowest ones, and all
of what is left is fine-tuned by one recipe, with several seeds. Each seed has its own partition, which every
network shares, so networks are compared in pairs.
"""

import argparse
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import torch

from api_schemas.architecture import WhichLayers
from api_schemas.trial_configuration import TrialConfiguration, canonical, patch
from benchmarks import json_lines
from benchmarks.architecture.latency import in_shares, interleaved_ms, ways_of
from benchmarks.autopeft.protocol import base_configuration
from benchmarks.markdown import markdown_table
from benchmarks.peft_table.configurations import searched_shape
from benchmarks.peft_table.record import provenance
from benchmarks.peft_table.training import train
from workers.model_cache import ModelCache

RESULTS = Path(__file__).parent / "results" / "depth.jsonl"
TASKS = ("tweets", "rotten-tomatoes")
RATES: Mapping[str, float] = {"all-MiniLM-L6-v2": 3e-4, "all-mpnet-base-v2": 1e-4}
"""Backbones, each with its rate of full fine-tuning; what is cut is trained at the same one."""

SEEDS = (1, 2, 3)
IMPORTANCE, LOWEST = WhichLayers.IMPORTANCE, WhichLayers.FIRST


@dataclass(frozen=True)
class Cut:
    """How much of a backbone stays, and which layers these are."""

    share: float
    which: WhichLayers = IMPORTANCE

    @property
    def name(self) -> str:
        """A cut in words."""
        if self.share == 1.0:
            return "whole"
        how = {IMPORTANCE: "by importance", LOWEST: "the lowest"}[self.which]
        return f"{self.share:.2f} of the layers, {how}"


WHOLE = Cut(1.0)
HALF = Cut(1 / 2)
CUTS = (WHOLE, HALF, Cut(2 / 3), Cut(1 / 2, LOWEST))


def main() -> None:
    """Train or time what is missing, or report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=["train", "time", "report"])
    parser.add_argument("--backbones", nargs="+", choices=list(RATES), default=list(RATES))
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.action == "train":
        train_missing(asked.backbones, asked.tasks)
    elif asked.action == "time":
        time_cuts(asked.backbones)
    else:
        print(report(json_lines.read(RESULTS)))


def train_missing(backbones: Sequence[str], tasks: Sequence[str]) -> None:
    """Run every training that is not written down yet."""
    cache = ModelCache(None, device=torch.device("cpu"))
    known = json_lines.read(RESULTS) if json_lines.exists(RESULTS) else []
    done = {_cell(line) for line in known if "seed" in line}
    for cell in cells(backbones, tasks):
        seed, task, backbone, cut = cell
        if (seed, task, backbone, cut.name) not in done:
            found = train(patch(cut_down(backbone, task, cut, cache), {"training.seed": seed}), cache=cache)
            json_lines.append(RESULTS, line_of(cell, found))


def cells(backbones: Sequence[str], tasks: Sequence[str]) -> Iterator[tuple[int, str, str, Cut]]:
    """Yield the trainings: the whole and its half with every seed, then the other cuts."""
    for cuts in (CUTS[:2], CUTS[2:]):
        yield from product(SEEDS, tasks, backbones, cuts)


def line_of(cell: tuple[int, str, str, Cut], found: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is kept of a training."""
    seed, task, backbone, cut = cell
    scores = {name: found[name] and found[name]["score"] for name in ("validation", "test")}
    named = {"backbone": backbone, "task": task, "cut": cut.name, "seed": seed}
    return {**named, **scores, "cpu_seconds": found["cpu_seconds"], "provenance": provenance()}


def cut_down(backbone: str, task: str, cut: Cut, cache: ModelCache) -> TrialConfiguration:
    """Return full fine-tuning of a cut."""
    written = base_configuration(task, shape=searched_shape()).model_dump(mode="json")
    training = {**written["training"], "learning_rate": RATES[backbone]}
    shape = cache.backbone(backbone).shape
    kept = {"keep_layers": round(cut.share * shape.layers), "which": cut.which.value}
    changed = {"backbone": backbone, "training": training, "peft": {"method": "full"}, "architecture": kept}
    return canonical(TrialConfiguration.model_validate({**written, **changed}), shape=shape)


def time_cuts(backbones: Sequence[str]) -> None:
    """Time the networks of the first task, all interleaved, and write a line for each."""
    cache = ModelCache(None, device=torch.device("cpu"))
    for backbone in backbones:
        networks = {cut.name: cache.network(cut_down(backbone, TASKS[0], cut, cache)) for cut in CUTS[:3]}
        for name, times in interleaved_ms(networks).items():
            json_lines.append(RESULTS, {"timed": name, "backbone": backbone, **times})


def report(lines: Sequence[Mapping[str, Any]]) -> str:
    """Return a table of scores and one of times."""
    tables = [_scores([line for line in lines if "seed" in line])]
    timed = [line for line in lines if "timed" in line]
    return "\n\n".join([*tables, *([_times(timed)] if timed else [])])


def _scores(lines: Sequence[Mapping[str, Any]]) -> str:
    """Write points of test accuracy, and what a cut loses against the whole by the same seeds."""
    runs: dict[tuple[str, str], dict[str, dict[int, float]]] = {}
    for line in lines:
        of_pair = runs.setdefault((line["backbone"], line["task"]), {})
        # What diverged knows nothing.
        of_pair.setdefault(line["cut"], {})[line["seed"]] = 100 * (line["test"] or 0.0)
    rows = []
    for (backbone, task), by_cut in sorted(runs.items()):
        whole = by_cut[WHOLE.name]
        for name, scores in by_cut.items():
            lost = [scores[seed] - whole[seed] for seed in scores if seed in whole and name != WHOLE.name]
            rows.append([backbone, task, name, str(len(scores)), _mean(list(scores.values())), _mean(lost)])
    return markdown_table(["backbone", "task", "kept", "seeds", "test", "less the whole"], rows)


def _mean(values: Sequence[float]) -> str:
    """Write a mean with its standard error, where there is one."""
    if len(values) < 2:
        return f"{values[0]:.1f}" if values else ""
    return f"{statistics.mean(values):.1f} ± {statistics.stdev(values) / math.sqrt(len(values)):.1f}"


def _times(timed: Sequence[Mapping[str, Any]]) -> str:
    """Write times as shares of the whole network's in the same runtime, and its milliseconds."""
    last = {(line["backbone"], line["timed"]): line for line in timed}
    rows = [
        [backbone, name, *in_shares(line, last[backbone, WHOLE.name])]
        for (backbone, name), line in last.items()
    ]
    return markdown_table(["backbone", "one thread", *ways_of(timed[0])], rows)


def _cell(line: Mapping[str, Any]) -> tuple[int, str, str, str]:
    return line["seed"], line["task"], line["backbone"], line["cut"]


if __name__ == "__main__":
    main()
