"""What parts of a network are worth: `python -m benchmarks.architecture ACTION`, one of seven.

Sub-networks of MiniLM are cut by importance, by the size of weights, at random or from the top, and all of
each is fine-tuned with one recipe. What was measured is compared with what was predicted before training.
"""

import argparse
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import torch

from api_schemas.architecture import Architecture
from api_schemas.trial_configuration import Distillation, TrialConfiguration
from benchmarks import json_lines
from benchmarks.architecture.baseline_orders import Order, magnitude_order, random_order
from benchmarks.architecture.block_scores import BlockScores, block_scores
from benchmarks.architecture.latency import interleaved_ms
from benchmarks.architecture.proxies import zero_cost_proxies
from benchmarks.architecture.report import report
from benchmarks.architecture.super_network import one_shot_losses
from benchmarks.architecture.training import trained
from benchmarks.autopeft.protocol import BACKBONE, base_configuration
from workers.architecture.extraction import extracted
from workers.architecture.importance import features, layer_losses, measuring_rows, unit_order
from workers.architecture.linear_probe import unexplained
from workers.architecture.sub_network import Orders, SubNetwork, chosen, everything
from workers.backbones.loading import Backbone
from workers.data.task_data import TokenisedSplit, TokenisedTask
from workers.model_cache import ModelCache

RESULTS = Path(__file__).parents[1] / "results" / "architecture.jsonl"
TASK = "tweets"
RATE = 3e-4
"""For the whole network as good as 1e-4 (benchmarks.peft_table), and what is cut has more to learn."""

DEPTHS = (5, 4, 3, 2)
WIDTHS = (1152, 768, 384)
BOTH = ((4, 768), (3, 512))
SIZES = tuple(product((2, 3, 4, 5, 6), (384, 768, 1152, 1536)))
"""Layers and units of what a super-network is trained for, the smallest first."""

TAUGHT = (
    "3 layers, 1536 units by importance",
    "2 layers, 1536 units by importance",
    "6 layers, 384 units by importance",
    "3 layers, 512 units by importance",
)
TIMED = (
    "whole",
    "5 layers, 1536 units by importance",
    "4 layers, 1536 units by importance",
    "3 layers, 1536 units by importance",
    "2 layers, 1536 units by importance",
    "6 layers, 768 units by importance",
    "6 layers, 384 units by importance",
    "4 layers, 768 units by importance",
)


@dataclass(frozen=True)
class Candidate:
    """A sub-network and how it was chosen."""

    name: str
    kept: SubNetwork


def main() -> None:
    """Record what is missing, or print the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "action", choices=["predict", "proxies", "one-shot", "time", "train", "distil", "report"]
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.action == "report":
        print(report(json_lines.read(RESULTS)))
        return
    cache = ModelCache(None, device=torch.device("cpu"))
    base = recipe(cache)
    backbone, task = cache.network(base), cache.task(base)
    rows = measuring_rows(task.train)
    losses = layer_losses(backbone, rows)
    candidates = list(_candidates(backbone, losses, rows))
    networks = {one.name: extracted(backbone, one.kept) for one in candidates}
    if asked.action == "predict":
        scores = block_scores(backbone, rows, units=unit_order(backbone, rows))
        for one in candidates:
            json_lines.append(RESULTS, _facts(one, networks[one.name], scores, rows, backbone))
    elif asked.action == "proxies":
        for digest, network in {one.kept.digest: networks[one.name] for one in candidates}.items():
            found = zero_cost_proxies(network, rows, classes=task.answers.outputs)
            json_lines.append(RESULTS, {"proxies_of": digest, **found})
    elif asked.action == "one-shot":
        kept = list({one.kept.digest: one.kept for one in candidates}.values())
        order = Orders(_by_loss(losses), unit_order(backbone, rows))
        for seed in asked.seeds:
            training = base.training.model_copy(update={"seed": seed})
            seeded = base.model_copy(update={"training": training})
            started = time.process_time()
            found_losses = one_shot_losses(backbone, task, seeded, kept, orders=order, sizes=SIZES)
            spent = round(time.process_time() - started, 1)
            for network, loss in zip(kept, found_losses, strict=True):
                line = {"one_shot_of": network.digest, "one_shot_seed": seed, "one_shot": round(loss, 5)}
                json_lines.append(RESULTS, {**line, "cpu_seconds_of_all": spent})
    elif asked.action == "time":
        for name, times in interleaved_ms({name: networks[name] for name in TIMED}).items():
            json_lines.append(RESULTS, {"timed": name, **times})
    elif asked.action == "distil":
        distil([one for one in candidates if one.name in TAUGHT], networks, task, base, cache=cache)
    else:
        train(candidates, networks, task, base, seeds=asked.seeds)


def train(
    candidates: Sequence[Candidate],
    networks: Mapping[str, Backbone],
    task: TokenisedTask,
    base: TrialConfiguration,
    *,
    seeds: Sequence[int],
) -> None:
    """Fine-tune every sub-network that was not trained with a seed yet, and write a line for each."""
    known = json_lines.read(RESULTS) if json_lines.exists(RESULTS) else []
    done = {(line["digest"], line["seed"]) for line in known if "seed" in line and "digest" in line}
    for seed in seeds:
        for one in candidates:
            key = (one.kept.digest, seed)
            if key not in done:
                done.add(key)
                scores = trained(networks[one.name], task, base, seed=seed)
                json_lines.append(RESULTS, {"digest": one.kept.digest, **scores})


def distil(
    candidates: Sequence[Candidate],
    networks: Mapping[str, Backbone],
    task: TokenisedTask,
    base: TrialConfiguration,
    *,
    cache: ModelCache,
) -> None:
    """Fine-tune sub-networks with the whole one as their teacher, by seed 1, and write a line for each."""
    how = Distillation(teacher_learning_rate=RATE)
    training = base.training.model_copy(update={"distillation": how, "seed": 1})
    taught = base.model_copy(update={"training": training})
    with_answers = cache.taught(task, taught)
    for one in candidates:
        scores = trained(networks[one.name], with_answers, taught, seed=1)
        json_lines.append(RESULTS, {"taught": one.kept.digest, "name_of_taught": one.name, **scores})


def recipe(cache: ModelCache) -> TrialConfiguration:
    """Return full fine-tuning as every candidate has it."""
    base = base_configuration(TASK, shape=cache.backbone(BACKBONE).shape).model_dump(mode="json")
    training = {**base["training"], "learning_rate": RATE}
    return TrialConfiguration.model_validate({**base, "training": training, "peft": {"method": "full"}})


def _candidates(backbone: Backbone, losses: Sequence[float], rows: TokenisedSplit) -> Iterator[Candidate]:
    """Yield every sub-network; `losses` says for each layer what its absence costs."""
    layers, width, units = len(backbone.layers), backbone.shape.ffn_size, unit_order(backbone, rows)
    importance, magnitude = Order(_by_loss(losses), units), magnitude_order(backbone)
    first = Order(tuple(range(layers)), units)
    yield Candidate("whole", everything(layers))

    def cut(name: str, order: Order, depth: int, units: int) -> Candidate:
        size = Architecture(keep_layers=depth, ffn_width=units if units < width else None)
        kept = chosen(size, Orders(order.layers, order.units))
        return Candidate(f"{depth} layers, {units} units by {name}", kept)

    for name, order in {"importance": importance, "magnitude": magnitude, "place": first}.items():
        yield from (cut(name, order, depth, width) for depth in DEPTHS)
    by_chance = random_order(backbone, seed=0)
    for name, order in {"importance": importance, "magnitude": magnitude, "chance": by_chance}.items():
        yield from (cut(name, order, layers, units) for units in WIDTHS)
    yield from (cut("importance", importance, depth, units) for depth, units in BOTH)


def _by_loss(losses: Sequence[float]) -> tuple[int, ...]:
    """Return the layers, first the one whose absence costs most."""
    return tuple(sorted(range(len(losses)), key=lambda layer: -losses[layer]))


def _facts(
    one: Candidate, network: Backbone, scores: BlockScores, rows: TokenisedSplit, backbone: Backbone
) -> dict[str, Any]:
    outputs, of_whole = features(network, rows), features(backbone, rows)
    return {
        "name": one.name,
        "digest": one.kept.digest,
        "layers": list(one.kept.layers),
        "ffn_size": network.shape.ffn_size,
        "layer_parameters": sum(weight.numel() for layer in network.layers for weight in layer.parameters()),
        "predicted_loss": round(scores.predicted_loss(one.kept), 5),
        "probe_loss": round(unexplained(outputs, rows), 5),
        "distortion": round(
            float((outputs - of_whole).square().sum() / of_whole.var(dim=0).sum()) / len(rows), 5
        ),
    }


if __name__ == "__main__":
    main()
