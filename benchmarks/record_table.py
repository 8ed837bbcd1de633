"""Record every trial of a small AutoPEFT space: `python -m benchmarks.record_table --task rotten-tomatoes`.

A serial adapter at two sizes or absent, a parallel one at one size or absent, on any set of MiniLM's
six layers: 316 different configurations, trained by our own worker. A complete table has an exact
front, and every optimiser can be judged on real trials in seconds. One JSON line a trial, appended as it
ends; a second run goes on where the first stopped.
"""

import argparse
import itertools
import random
from pathlib import Path

import torch

from api_schemas.search_space import Parameterization
from api_schemas.trial_configuration import TrialConfiguration, canonical, patch
from benchmarks import json_lines
from benchmarks.record_trials import BACKBONE, RECORDED, recorded
from workers.model_cache import ModelCache

LAYERS = 6
SIZES = {
    "peft.serial_adapter.bottleneck_size": (0, 12, 96),
    "peft.parallel_adapter.bottleneck_size": (0, 48),
}


def main() -> None:
    """Record the trials that the file does not hold yet."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--task", default="rotten-tomatoes")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--rows", type=int, nargs=3, default=[320, 400, 32])
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    train, validation, test = arguments.rows
    base = TrialConfiguration.model_validate(
        {
            "backbone": BACKBONE,
            "task": {
                "name": arguments.task, "train_rows": train, "validation_rows": validation, "test_rows": test,
            },
            "training": {
                "epochs": arguments.epochs, "learning_rate": arguments.learning_rate, "max_length": 48,
            },
            "peft": {"active_layers": [True] * LAYERS},
        }
    )  # fmt: skip
    record(base, file=RECORDED / f"table-{arguments.task}.jsonl")


def record(base: TrialConfiguration, *, file: Path) -> None:
    """Append a line for each configuration that the file does not hold yet."""
    done = len(json_lines.read(file))
    cache = ModelCache(None, device=torch.device("cpu"))
    listed = configurations(base)
    for number, parameters in enumerate(listed):
        if number >= done:
            line = recorded(base, parameters, number=number, cache=cache)
            json_lines.append(file, line)
            print(f"{file.stem} {number + 1}/{len(listed)}: {line['metrics'].get('score')}", flush=True)


def configurations(base: TrialConfiguration) -> list[Parameterization]:
    """List one parameterization for each network of the space, in a fixed random order."""
    found: dict[str, Parameterization] = {}
    for sizes in itertools.product(*SIZES.values()):
        for layers in itertools.product((False, True), repeat=LAYERS):
            parameters: Parameterization = dict(zip(SIZES, sizes, strict=True))
            parameters |= {f"peft.active_layers.{layer}": on for layer, on in enumerate(layers)}
            found.setdefault(canonical(patch(base, parameters)).model_dump_json(), parameters)
    listed = list(found.values())
    random.Random("table").shuffle(listed)  # noqa: S311  an order, not a secret
    return listed


if __name__ == "__main__":
    main()
