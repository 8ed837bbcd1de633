"""Trials per hour packed against one after the other: `python -m benchmarks.packing`.

Random configurations of serial and parallel adapters and prefixes with learning rates of their own and
one seed, on MiniLM, on the GPU if there is one. Each round runs the configurations alone and then the
first K of them as one pack, for each K; the first round fills the activation cache and is not counted.
Both sides train, measure after each epoch, test and save.
"""

import argparse
import math
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from itertools import chain

import torch

from api_schemas.trial_configuration import TrialConfiguration
from api_schemas.trials import TrialReport
from service.artifacts.artifact_store import store_at
from workers.model_cache import ModelCache
from workers.packing.run import run_packed
from workers.run_trial import Trial, run_trial

LAYERS = 6
SIZES = (0, 3, 12, 24, 48, 96)
LENGTHS = (0, 1, 3, 6, 12)


def main() -> None:
    """Print a line for each K: medians of trials per hour, and their ratio."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--task", default="rotten-tomatoes")
    parser.add_argument("--rows", type=int, nargs=2, default=[800, 600])
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--packs", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_num_threads(1)
    cache = ModelCache(None, device=device)
    chosen = configurations(arguments, count=max(arguments.packs))
    dtype = next(cache.backbone(chosen[0].backbone).model.parameters()).dtype
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU, one thread"
    print(f"{name}, {dtype}, torch {torch.__version__}, batches of {arguments.batch_size}")
    alone: list[list[float]] = []
    packed: dict[int, list[float]] = {size: [] for size in arguments.packs}
    for counted in range(arguments.rounds + 1):
        seconds = [timed([configuration], cache, packs=False) for configuration in chosen]
        in_packs = {size: timed(chosen[:size], cache, packs=True) for size in arguments.packs}
        if counted:
            alone.append(seconds)
            for size, found in in_packs.items():
                packed[size].append(found)
    print(f"{'K':>3} {'alone / h':>10} {'packed / h':>11} {'ratio':>6}")
    for size, found in packed.items():
        one_by_one = statistics.median(sum(seconds[:size]) for seconds in alone)
        together = statistics.median(found)
        print(
            f"{size:>3} {3600 * size / one_by_one:>10.0f} {3600 * size / together:>11.0f} "
            f"{one_by_one / together:>6.2f}"
        )


def configurations(arguments: argparse.Namespace, *, count: int) -> list[TrialConfiguration]:
    """Draw configurations, the same ones every time."""
    draw = random.Random(0)  # noqa: S311  a sample, not a secret
    train, held_out = arguments.rows
    return [
        TrialConfiguration.model_validate(
            {
                "backbone": "all-MiniLM-L6-v2",
                "task": {
                    "name": arguments.task,
                    "train_rows": train,
                    "validation_rows": held_out,
                    "test_rows": held_out,
                },
                "peft": {
                    "active_layers": [draw.random() < 0.5 for _ in range(LAYERS)],
                    "serial_adapter": {"bottleneck_size": draw.choice(SIZES)},
                    "parallel_adapter": {"bottleneck_size": draw.choice(SIZES)},
                    "prefix_tuning": {"length": draw.choice(LENGTHS)},
                },
                "training": {
                    "epochs": arguments.epochs,
                    "batch_size": arguments.batch_size,
                    "learning_rate": math.exp(draw.uniform(math.log(3e-4), math.log(3e-3))),
                },
            }
        )
        for _ in range(count)
    ]


def timed(chosen: Sequence[TrialConfiguration], cache: ModelCache, *, packs: bool) -> float:
    """Run configurations and give the seconds; a pack that was cut is said so."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        if packs:
            trials = [Trial(one, str(number), lambda _: False) for number, one in enumerate(chosen)]
            batches = run_packed(trials, cache=cache, store=store_at(folder))
            say_if_cut(list(chain.from_iterable(batches)))
        else:
            for number, one in enumerate(chosen):
                run_trial(Trial(one, str(number), lambda _: False), cache=cache, store=store_at(folder))
    return time.perf_counter() - started


def say_if_cut(reports: Sequence[TrialReport]) -> None:
    """Print how large packs were, where memory made them smaller than asked."""
    sizes = [int(report.provenance.get("packed_with", 1)) for report in reports]
    if any(size != len(reports) for size in sizes):
        print(f"cut by memory: {len(reports)} trials ran in packs of {sorted(set(sizes))}")


if __name__ == "__main__":
    main()
