"""Where LoRA should go, by one relaxed training: `python -m benchmarks.placement run`, then `report`.

Every projection of every layer of MiniLM gets an update of rank 8 behind a gate, and all are trained at once
(differentiable architecture search). What is kept is chosen by perturbation (DARTS-PT, arXiv 2108.04392):
the projections whose update the validation loss misses most for each scalar. The choice is trained alone, as
are random ones of the same size, that of the gates themselves, and LoRA 8 on queries and values.
"""

import argparse
import random
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from api_schemas.backbones import ROLES, projections
from api_schemas.trial_configuration import TrialConfiguration
from benchmarks import json_lines
from benchmarks.architecture.training import trained
from benchmarks.autopeft.protocol import BACKBONE, base_configuration
from benchmarks.markdown import markdown_table
from workers.backbones.loading import Backbone
from workers.data.task_data import TokenisedTask
from workers.fine_tune import fine_tune
from workers.measuring.evaluate import evaluate
from workers.model_cache import ModelCache
from workers.peft_methods import TrialModules, attached

RESULTS = Path(__file__).parent / "results" / "placement.jsonl"
TASK = "tweets"
RATE = 3e-3
"""At which LoRA 8 is in the portfolio of `auto`."""

RANK, RANDOM_PLACEMENTS = 8, 8
GAIN = 100.0
"""Gates are sigmoids of so many times their parameter: at the rate of the updates they would hardly move."""

Place = tuple[int, str]
"""A layer and a role in it."""


def main() -> None:
    """Record the trainings, or print the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=["run", "report"])
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.action == "report":
        print(report(json_lines.read(RESULTS)))
        return
    cache = ModelCache(None, device=torch.device("cpu"))
    base = recipe(cache, seed=asked.seed)
    backbone, task = cache.network(base), cache.task(base)
    started = time.process_time()
    misses, gates = relaxed(base, backbone=backbone, task=task)
    spent = time.process_time() - started
    sizes, budget = scalars(backbone), by_hand_scalars(backbone)
    chosen = {
        "LoRA 8 on queries and values": by_hand(backbone),
        "by perturbation": most_of(misses, sizes, budget=budget),
        "by the gates": most_of(gates, sizes, budget=budget),
    }
    for number in range(RANDOM_PLACEMENTS):
        chosen[f"random {number}"] = drawn(sizes, budget=budget, seed=number)
    for name, places in chosen.items():
        placement = placed(base, places, layers=len(backbone.layers))
        found = trained(backbone, task, placement, seed=asked.seed)
        more = {"relaxed_cpu_seconds": round(spent, 1)} if name == "by perturbation" else {}
        size = sum(sizes[place] for place in places)
        json_lines.append(RESULTS, {"name": name, "scalars": size, **found, **more})


def recipe(cache: ModelCache, *, seed: int) -> TrialConfiguration:
    """Return LoRA on every projection, as it is trained once with gates."""
    base = base_configuration(TASK, shape=cache.backbone(BACKBONE).shape)
    training = base.training.model_copy(update={"learning_rate": RATE, "seed": seed})
    layers = cache.backbone(BACKBONE).shape.layers
    everywhere = [(layer, role) for layer in range(layers) for role in ROLES]
    return placed(base.model_copy(update={"training": training}), everywhere, layers=layers)


def placed(base: TrialConfiguration, places: Sequence[Place], *, layers: int) -> TrialConfiguration:
    """Return a configuration with LoRA in these places alone."""
    ranks = [{role: RANK for layer, role in places if layer == number} for number in range(layers)]
    given = base.model_dump(mode="json")
    return TrialConfiguration.model_validate({**given, "peft": {"lora": {"by_layer": ranks}}})


def scalars(backbone: Backbone) -> Mapping[Place, int]:
    """Return what an update in each place trains."""
    found = projections(backbone.shape)
    return {
        (layer, role): RANK * (found[role].inputs + found[role].outputs)
        for layer in range(backbone.shape.layers)
        for role in ROLES
    }


def by_hand(backbone: Backbone) -> list[Place]:
    """Return queries and values of every layer."""
    return [(layer, role) for layer in range(backbone.shape.layers) for role in ("query", "value")]


def by_hand_scalars(backbone: Backbone) -> int:
    """Return what LoRA 8 on queries and values trains: no other placement may train more."""
    sizes = scalars(backbone)
    return sum(sizes[place] for place in by_hand(backbone))


def most_of(worth: Mapping[Place, float], sizes: Mapping[Place, int], *, budget: int) -> list[Place]:
    """Return the places that are worth most for each scalar, as many as the budget allows."""
    return _filled(sorted(worth, key=lambda place: -worth[place] / sizes[place]), sizes, budget=budget)


def drawn(sizes: Mapping[Place, int], *, budget: int, seed: int) -> list[Place]:
    """Return places at random, as many as the budget allows."""
    places = list(sizes)
    random.Random(seed).shuffle(places)  # noqa: S311  no secret
    return _filled(places, sizes, budget=budget)


def _filled(places: Sequence[Place], sizes: Mapping[Place, int], *, budget: int) -> list[Place]:
    kept: list[Place] = []
    for place in places:
        if sum(sizes[other] for other in kept) + sizes[place] <= budget:
            kept.append(place)
    return kept


def relaxed(
    configuration: TrialConfiguration, *, backbone: Backbone, task: TokenisedTask
) -> tuple[dict[Place, float], dict[Place, float]]:
    """Train all updates with gates; return what the validation loss misses without each, and the gates."""
    classes = task.answers.outputs
    modules = TrialModules(
        configuration.peft, backbone=backbone, classes=classes, seed=configuration.training.seed
    )
    updates = {(layer, role): update for layer, role, update in _updates(modules)}
    for update in updates.values():
        update.register_parameter("gate", nn.Parameter(torch.zeros(())))
        update.register_forward_hook(_gated)

    def loss() -> float:
        return evaluate(modules, task.validation, backbone=backbone, classes=classes).loss

    with attached(modules, backbone=backbone):
        fine_tune(
            modules, task.train, backbone=backbone, training=configuration.training, measure=_never_stop
        )
        whole = loss()
        misses = {}
        for place, update in updates.items():
            with silent(update):
                misses[place] = loss() - whole
    gates = {place: torch.sigmoid(GAIN * update.gate).item() for place, update in updates.items()}
    return misses, gates


def _updates(modules: TrialModules) -> Iterator[tuple[int, str, Any]]:
    for layer, of_layer in modules.layers.items():
        assert isinstance(of_layer, nn.ModuleDict)
        updates = of_layer["lora"]
        assert isinstance(updates, nn.ModuleDict)
        for role, update in updates.items():
            yield int(layer), role, update


def _gated(update: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> Tensor:
    gate = torch.sigmoid(GAIN * update.get_parameter("gate"))
    return output * gate.to(output.dtype)


@contextmanager
def silent(update: nn.Module) -> Iterator[None]:
    """Leave an update out inside this block."""
    handle = update.register_forward_hook(lambda _, __, output: torch.zeros_like(output))
    try:
        yield
    finally:
        handle.remove()


def _never_stop(_share: float, _loss: float) -> bool:
    return False


def report(lines: Sequence[dict[str, Any]]) -> str:
    """Return the placements as a table, random ones as their mean and their best by validation."""
    rows = []
    for seed in sorted({line["seed"] for line in lines}):
        of_seed = [line for line in lines if line["seed"] == seed]
        by_chance = [line for line in of_seed if line["name"].startswith("random")]
        rows += [[str(seed), line["name"], *_cells(line)] for line in of_seed if line not in by_chance]
        if by_chance:
            names = ("scalars", "validation", "test", "test_loss")
            mean = {name: statistics.mean(line[name] for line in by_chance) for name in names}
            best = max(by_chance, key=lambda line: line["validation"])
            rows.append([str(seed), f"random, mean of {len(by_chance)}", *_cells(mean)])
            rows.append([str(seed), f"random, best of {len(by_chance)} by validation", *_cells(best)])
    return markdown_table(["seed", "placement", "scalars", "validation", "test", "test loss"], rows)


def _cells(line: Mapping[str, float]) -> list[str]:
    scores = [f"{line[name]:.3f}" for name in ("validation", "test", "test_loss")]
    return [f"{line['scalars']:,.0f}", *scores]


if __name__ == "__main__":
    main()
