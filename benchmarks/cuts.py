"""What layers and units are worth: `python -m benchmarks.cuts train` and `time`, then `report`.

Two backbones are cut to shares of their layers, the ones that importance chooses or the lowest ones, and of
the units of their feed-forward blocks, and all of what is left is fine-tuned by one recipe, with several
seeds. Each seed has its own partition, which every network shares, so networks are compared in pairs.
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
from workers.architecture.extraction import extracted
from workers.backbones.loading import Backbone
from workers.model_cache import ModelCache

RESULTS = Path(__file__).parent / "results" / "cuts.jsonl"
TASKS = ("tweets", "rotten-tomatoes")
RATES: Mapping[str, float] = {"all-MiniLM-L6-v2": 3e-4, "all-mpnet-base-v2": 1e-4}
"""Backbones, each with its rate of full fine-tuning; what is cut is trained at the same one."""

SEEDS = (1, 2, 3)
Runs = dict[tuple[str, str], dict[str, dict[int, float]]]
"""Points of test accuracy by backbone and task, cut and seed."""

NOT_FITTED = "not fitted"
IMPORTANCE, LOWEST = WhichLayers.IMPORTANCE, WhichLayers.FIRST


@dataclass(frozen=True)
class Cut:
    """How much of a backbone stays, which layers these are, and whether narrower blocks are fitted."""

    share: float
    which: WhichLayers = IMPORTANCE
    units: float = 1.0
    is_fitted: bool = True

    @property
    def name(self) -> str:
        """A cut in words."""
        how = {IMPORTANCE: "by importance", LOWEST: "the lowest"}[self.which]
        layers = [] if self.share == 1.0 else [f"{self.share:.2f} of the layers, {how}"]
        units = [] if self.units == 1.0 else [f"{self.units:.2f} of the units"]
        return ", ".join([*layers, *units, *([] if self.is_fitted else [NOT_FITTED])]) or "whole"


class WithoutFit(ModelCache):
    """Cuts sub-networks and leaves the weights that stay as they were."""

    def network(self, configuration: TrialConfiguration) -> Backbone:
        """Return the part of the backbone that stays."""
        backbone = self.backbone(configuration.backbone)
        return extracted(backbone, self.sub_network(configuration))


WHOLE = Cut(1.0)
HALF = Cut(1 / 2)
DEPTHS = (WHOLE, HALF, Cut(2 / 3), Cut(1 / 2, LOWEST))
WIDTHS = tuple(
    Cut(layers, units=units, is_fitted=is_fitted)
    for layers, units in ((1.0, 1 / 4), (1.0, 1 / 2), (2 / 3, 1 / 4))
    for is_fitted in (True, False)
)
FAST = (Cut(5 / 6, LOWEST, units=1 / 3),)
"""Twice as fast as the whole backbone of 12 layers."""

CUTS: Mapping[str, tuple[Cut, ...]] = {
    "all-MiniLM-L6-v2": DEPTHS + WIDTHS + FAST,
    "all-mpnet-base-v2": DEPTHS + FAST,
}


def main() -> None:
    """Train or time what is missing, or report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=["train", "time", "report"])
    parser.add_argument("--backbones", nargs="+", choices=list(RATES), default=list(RATES))
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.action == "train":
        train_missing(asked.backbones, asked.tasks, seeds=asked.seeds)
    elif asked.action == "time":
        time_cuts(asked.backbones)
    else:
        print(report(json_lines.read(RESULTS)))


def train_missing(backbones: Sequence[str], tasks: Sequence[str], *, seeds: Sequence[int]) -> None:
    """Run every training that is not written down yet."""
    cpu = torch.device("cpu")
    caches = {True: ModelCache(None, device=cpu), False: WithoutFit(None, device=cpu)}
    known = json_lines.read(RESULTS) if json_lines.exists(RESULTS) else []
    done = {_cell(line) for line in known if "seed" in line}
    for cell in cells(backbones, tasks, seeds=seeds):
        seed, task, backbone, cut = cell
        cache = caches[cut.is_fitted]
        if (seed, task, backbone, cut.name) not in done:
            found = train(patch(cut_down(backbone, task, cut, cache), {"training.seed": seed}), cache=cache)
            json_lines.append(RESULTS, line_of(cell, found))


def cells(
    backbones: Sequence[str], tasks: Sequence[str], *, seeds: Sequence[int] = SEEDS
) -> Iterator[tuple[int, str, str, Cut]]:
    """Yield the trainings: the whole and its half with every seed, then the other cuts."""
    for compared in (slice(0, 2), slice(2, None)):
        for seed, task, backbone in product(seeds, tasks, backbones):
            yield from ((seed, task, backbone, cut) for cut in CUTS[backbone][compared])


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
    kept = {
        "keep_layers": round(cut.share * shape.layers),
        "which": cut.which.value,
        "ffn_width": round(cut.units * shape.ffn_size),
    }
    changed = {"backbone": backbone, "training": training, "peft": {"method": "full"}, "architecture": kept}
    return canonical(TrialConfiguration.model_validate({**written, **changed}), shape=shape)


def time_cuts(backbones: Sequence[str]) -> None:
    """Time the networks of the first task, all interleaved, and write a line for each."""
    # The values of weights take no time.
    cache = WithoutFit(None, device=torch.device("cpu"))
    for backbone in backbones:
        cuts = [cut for cut in CUTS[backbone] if cut.is_fitted and cut != Cut(1 / 2, LOWEST)]
        networks = {cut.name: cache.network(cut_down(backbone, TASKS[0], cut, cache)) for cut in cuts}
        for name, times in interleaved_ms(networks).items():
            json_lines.append(RESULTS, {"timed": name, "backbone": backbone, **times})


def report(lines: Sequence[Mapping[str, Any]]) -> str:
    """Return a table of scores, what fitting brought, and a table of times."""
    runs = _points([line for line in lines if "seed" in line])
    timed = [line for line in lines if "timed" in line]
    return "\n\n".join(part for part in (_scores(runs), _fits(runs), _times(timed) if timed else "") if part)


def _points(lines: Sequence[Mapping[str, Any]]) -> Runs:
    runs: Runs = {}
    for line in lines:
        of_pair = runs.setdefault((line["backbone"], line["task"]), {})
        # What diverged knows nothing.
        of_pair.setdefault(line["cut"], {})[line["seed"]] = 100 * (line["test"] or 0.0)
    return runs


def _fits(runs: Runs) -> str:
    """Return what fitting brought in the mean over all pairs of networks that differ in it alone."""
    gains = [
        by_cut[fitted][seed] - score
        for by_cut in runs.values()
        for name, scores in by_cut.items()
        for fitted in [name.removesuffix(f", {NOT_FITTED}")]
        if fitted != name and fitted in by_cut
        for seed, score in scores.items()
        if seed in by_cut[fitted]
    ]
    better = sum(gain > 0 for gain in gains)
    return (
        f"Fitted less not fitted: {_mean(gains)} points, {better} of {len(gains)} above 0." if gains else ""
    )


def _scores(runs: Runs) -> str:
    """Write points of test accuracy, and what a cut loses against the whole by the same seeds."""
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
