"""What parts of a network are worth: `python -m benchmarks.architecture record`, then `report`.

Sub-networks of MiniLM are cut by importance, by the size of weights, at random or from the top, and all of
each is fine-tuned with one recipe. What was measured is compared with what was predicted before training.
"""

import argparse
import statistics
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from scipy.stats import spearmanr

from api_schemas.architecture import Architecture
from api_schemas.trial_configuration import TrialConfiguration
from benchmarks import json_lines
from benchmarks.autopeft.protocol import base_configuration
from benchmarks.markdown import markdown_table
from workers.architecture.baseline_orders import magnitude_order, random_order
from workers.architecture.block_scores import BlockScores, block_scores
from workers.architecture.extraction import extracted
from workers.architecture.importance import features, measuring_rows, unit_order
from workers.architecture.linear_probe import unexplained
from workers.architecture.sub_network import Order, SubNetwork, chosen, everything
from workers.backbones.loading import Backbone
from workers.data.task_data import TokenisedTask
from workers.fine_tune import fine_tune
from workers.measuring.evaluate import evaluate
from workers.model_cache import ModelCache
from workers.peft_methods import TrialModules, attached

RESULTS = Path(__file__).parent / "results" / "architecture.jsonl"
TASK = "tweets"
RATE = 3e-4
"""For the whole network as good as 1e-4 (benchmarks.peft_table), and what is cut has more to learn."""

DEPTHS = (5, 4, 3, 2)
WIDTHS = (1152, 768, 384)
BOTH = ((4, 768), (3, 512))
BATCHES = ((1, 32), (8, 32))
"""Rows and tokens of the batches that are timed."""

ROUNDS = 25


@dataclass(frozen=True)
class Candidate:
    """A sub-network and how it was chosen."""

    name: str
    kept: SubNetwork


def main() -> None:
    """Record what is missing, or print the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=["record", "report"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.action == "record":
        record(asked.seeds)
    else:
        print(report(json_lines.read(RESULTS)))


def record(seeds: list[int]) -> None:
    """Predict, time and train every candidate, and write a line for each of these."""
    cache = ModelCache(None, device=torch.device("cpu"))
    base = recipe()
    backbone, task = cache.network(base), cache.task(base)
    rows = measuring_rows(task.train)
    units = unit_order(backbone, rows)
    scores = block_scores(backbone, rows, units=units)
    order = tuple(sorted(range(len(backbone.layers)), key=lambda layer: -scores.without_layer[layer]))
    candidates = list(_candidates(backbone, Order(order, units)))
    networks = {one.name: extracted(backbone, one.kept) for one in candidates}
    known = json_lines.read(RESULTS) if json_lines.exists(RESULTS) else []
    if not any("latency_ms" in line for line in known):
        times = interleaved_ms(networks)
        for one in candidates:
            network = networks[one.name]
            probe = unexplained(features(network, rows), rows)
            json_lines.append(RESULTS, _facts(one, network, scores, probe) | {"latency_ms": times[one.name]})
    done = {(line["digest"], line["seed"]) for line in known if "seed" in line}
    for seed in seeds:
        for one in candidates:
            if (one.kept.digest, seed) not in done:
                done.add((one.kept.digest, seed))
                json_lines.append(
                    RESULTS,
                    {"digest": one.kept.digest, **trained(networks[one.name], task, base, seed=seed)},
                )


def recipe() -> TrialConfiguration:
    """Return full fine-tuning as every candidate has it."""
    shape = ModelCache(None, device=torch.device("cpu")).backbone("all-MiniLM-L6-v2").shape
    base = base_configuration(TASK, shape=shape).model_dump(mode="json")
    training = {**base["training"], "learning_rate": RATE}
    return TrialConfiguration.model_validate({**base, "training": training, "peft": {"method": "full"}})


def _candidates(backbone: Backbone, importance: Order) -> Iterator[Candidate]:
    layers, width = len(backbone.layers), backbone.shape.ffn_size
    orders = {"importance": importance, "magnitude": magnitude_order(backbone)}
    first = Order(tuple(range(layers)), importance.units)
    yield Candidate("whole", everything(layers))

    def cut(name: str, order: Order, depth: int, units: int) -> Candidate:
        size = Architecture(keep_layers=depth, ffn_width=units if units < width else None)
        return Candidate(
            f"{depth} layers, {units} units by {name}", chosen(size, layers=order.layers, units=order.units)
        )

    for name, order in {**orders, "place (the first)": first}.items():
        yield from (cut(name, order, depth, width) for depth in DEPTHS)
    for name, order in {**orders, "chance": random_order(backbone, seed=0)}.items():
        yield from (cut(name, order, layers, units) for units in WIDTHS)
    yield from (cut("importance", importance, depth, units) for depth, units in BOTH)


def _facts(one: Candidate, network: Backbone, scores: BlockScores, probe: float) -> dict[str, Any]:
    layers = sum(weight.numel() for layer in network.layers for weight in layer.parameters())
    return {
        "name": one.name,
        "digest": one.kept.digest,
        "layers": list(one.kept.layers),
        "ffn_size": network.shape.ffn_size,
        "layer_parameters": layers,
        "predicted_loss": round(scores.predicted_loss(one.kept), 5),
        "probe_loss": round(probe, 5),
    }


@torch.inference_mode()
def interleaved_ms(networks: Mapping[str, Backbone]) -> dict[str, dict[str, float]]:
    """Time one pass of every network in each round, so that what else the machine does hits all alike.

    Return medians in milliseconds, and the quartiles' distance as a share of the median, by batch.
    """
    runs: dict[tuple[str, str], list[float]] = {}
    for round_ in range(ROUNDS + 3):
        for name, network in networks.items():
            for rows, tokens in BATCHES:
                ids = torch.full((rows, tokens), 2000)
                started = time.perf_counter()
                network.model(input_ids=ids, attention_mask=torch.ones_like(ids))
                if round_ >= 3:
                    seconds = time.perf_counter() - started
                    runs.setdefault((name, f"{rows}x{tokens}"), []).append(1000 * seconds)
    found: dict[str, dict[str, float]] = {}
    for (name, batch), times in runs.items():
        lower, middle, upper = statistics.quantiles(times, n=4)
        found.setdefault(name, {})[batch] = round(middle, 3)
        found[name][f"{batch} spread"] = round((upper - lower) / middle, 3)
    return found


def trained(network: Backbone, task: TokenisedTask, base: TrialConfiguration, *, seed: int) -> dict[str, Any]:
    """Fine-tune all of a network, and return its scores."""
    classes, started = task.answers.outputs, time.process_time()
    modules = TrialModules(base.peft, backbone=network, classes=classes, seed=seed)
    training = base.training.model_copy(update={"seed": seed})
    with attached(modules, backbone=network):
        fine_tune(modules, task.train, backbone=network, training=training, measure=lambda *_: False)
        validation, test = (
            evaluate(modules, split, backbone=network, classes=classes)
            for split in (task.validation, task.test)
        )
    return {
        "seed": seed,
        "validation": round(validation.score, 4),
        "test": round(test.score, 4),
        "test_loss": round(test.loss, 4),
        "cpu_seconds": round(time.process_time() - started, 1),
    }


def report(lines: list[dict[str, Any]]) -> str:
    """Return the table of candidates, and how well each prediction ranked them."""
    facts = [line for line in lines if "latency_ms" in line]
    runs: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        if "seed" in line:
            runs.setdefault(line["digest"], []).append(line)
    measured = [(one, runs[one["digest"]]) for one in facts if one["digest"] in runs]
    whole = next(one for one, _ in measured if one["name"] == "whole")
    rows = [
        [
            one["name"],
            f"{one['layer_parameters'] / whole['layer_parameters']:.2f}",
            *(f"{one['latency_ms'][f'{r}x{t}'] / whole['latency_ms'][f'{r}x{t}']:.2f}" for r, t in BATCHES),
            f"{one['predicted_loss']:.3f}",
            f"{one['probe_loss']:.3f}",
            f"{statistics.mean(run['test'] for run in of_one):.3f}",
            f"{statistics.mean(run['test_loss'] for run in of_one):.3f}",
        ]
        for one, of_one in measured
    ]
    timed = [f"time, {rows_}x{tokens}" for rows_, tokens in BATCHES]
    header = ["sub-network", "layer weights", *timed, "predicted", "probe", "test score", "test loss"]
    return f"{markdown_table(header, rows)}\n\n{_rank_correlations(measured)}"


def _rank_correlations(measured: list[tuple[dict[str, Any], list[dict[str, Any]]]]) -> str:
    """Write Spearman correlations with the test score over different sub-networks."""
    distinct = list({one["digest"]: (one, of_one) for one, of_one in measured}.values())
    scores = [statistics.mean(run["test"] for run in of_one) for _, of_one in distinct]
    losses = [-statistics.mean(run["test_loss"] for run in of_one) for _, of_one in distinct]
    signs = {"predicted_loss": -1, "probe_loss": -1, "layer_parameters": 1}
    rows = []
    for name, sign in signs.items():
        values = [sign * one[name] for one, _ in distinct]
        found = [spearmanr(values, against).statistic for against in (scores, losses)]
        rows.append([name, *(f"{value:.2f}" for value in found)])
    header = [f"Spearman over {len(distinct)} sub-networks", "test score", "test loss"]
    return markdown_table(header, rows)


if __name__ == "__main__":
    main()
