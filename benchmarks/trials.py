"""Trials per hour against one HF Trainer process per trial: `python -m benchmarks.trials`.

Same configurations, rows, epochs and threads on both sides, interleaved: each round runs every
configuration once as people do today (`benchmarks/hf_trainer_trial.py`, timed from the start of its
process to its end) and once in a worker that keeps the backbone and the tokens. The first trial of
the worker, which loads them, is shown apart.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from scipy.stats import t as student_t

from api_schemas.search_space import Parameterization
from api_schemas.trial_configuration import TrialConfiguration, patch
from service.artifacts.artifact_store import store_at
from workers.backbones.loading import frozen_dtype
from workers.model_cache import ModelCache
from workers.run_trial import Trial, run_trial

LAYERS = 6
CONFIGURATIONS: dict[str, Parameterization] = {
    "LoRA 8 on every layer": {"peft.lora.rank": 8},
    "random AutoPEFT, layers 0 2 3 5": {
        "peft.serial_adapter.bottleneck_size": 24,
        "peft.parallel_adapter.bottleneck_size": 48,
        "peft.prefix_tuning.length": 6,
        "peft.active_layers.1": False,
        "peft.active_layers.4": False,
    },
    "random AutoPEFT, layers 1 2 4": {
        "peft.serial_adapter.bottleneck_size": 96,
        "peft.prefix_tuning.length": 3,
        "peft.active_layers.0": False,
        "peft.active_layers.3": False,
        "peft.active_layers.5": False,
    },
    "top third, layers 4 5": {
        "peft.serial_adapter.bottleneck_size": 24,
        "peft.parallel_adapter.bottleneck_size": 48,
        "peft.prefix_tuning.length": 6,
        "peft.first_active_layer": 4,
    },
    "last layer": {"peft.parallel_adapter.bottleneck_size": 48, "peft.first_active_layer": 5},
    "head only": {},
}


def main() -> None:
    """Print a line for each configuration, then one for all of them together."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--task", default="rotten-tomatoes")
    parser.add_argument("--rows", type=int, nargs=2, default=[800, 600])
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=list(CONFIGURATIONS))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    base = TrialConfiguration.model_validate(
        {
            "backbone": "all-MiniLM-L6-v2",
            "task": {
                "name": arguments.task,
                "train_rows": arguments.rows[0],
                "validation_rows": arguments.rows[1],
                "test_rows": 32,
            },
            "training": {"epochs": arguments.epochs},
            "peft": {"active_layers": [True] * LAYERS},
        }
    )
    cache = ModelCache(None, device=torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    first, _ = ours(base, cache)
    print(f"{cache.device}, frozen weights in {frozen_dtype(cache.device)}; first trial {first:.1f} s")
    theirs: dict[str, list[float]] = {name: [] for name in arguments.only}
    own: dict[str, list[float]] = {name: [] for name in arguments.only}
    scores: dict[str, list[tuple[float, float]]] = {name: [] for name in arguments.only}
    for seed in range(arguments.rounds):
        for name in arguments.only:
            configuration = patch(base, {**CONFIGURATIONS[name], "training.seed": seed})
            their_seconds, their_score = hf_trainer(configuration)
            own_seconds, own_score = ours(configuration, cache)
            theirs[name].append(their_seconds)
            own[name].append(own_seconds)
            scores[name].append((their_score, own_score))
            print(f"  {name:34} {their_seconds:7.1f} s {own_seconds:7.1f} s", file=sys.stderr, flush=True)
    print(f"{'configuration':34} {'HF Trainer':>11} {'Paretune':>9} {'trials per hour':>16} {'scores':>14}")
    for name in arguments.only:
        their_median, own_median = statistics.median(theirs[name]), statistics.median(own[name])
        means = [statistics.fmean(column) for column in zip(*scores[name], strict=True)]
        print(
            f"{name:34} {their_median:9.1f} s {own_median:7.1f} s {their_median / own_median:15.2f}x "
            f"{means[0]:7.3f} {means[1]:.3f}"
        )
        print(f"{'':34} paired difference of scores {paired_difference(scores[name])}")
    total = sum(map(sum, theirs.values())) / sum(map(sum, own.values()))
    print(f"all of them, by total time: {total:.2f}x")


def paired_difference(pairs: Sequence[tuple[float, float]]) -> str:
    """Return ours less theirs in points, with a 95 % interval where there are enough seeds."""
    differences = [100 * (own - their) for their, own in pairs]
    mean = statistics.fmean(differences)
    if len(differences) < 3:
        return f"{mean:+.2f} points ({len(differences)} seeds)"
    half = (
        float(student_t.ppf(0.975, len(differences) - 1))
        * statistics.stdev(differences)
        / len(differences) ** 0.5
    )
    return f"{mean:+.2f} points, 95 % [{mean - half:+.2f}, {mean + half:+.2f}] ({len(differences)} seeds)"


def ours(configuration: TrialConfiguration, cache: ModelCache) -> tuple[float, float]:
    """Return seconds and score of one trial in this process."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        report = run_trial(
            Trial(configuration, "trial", lambda _: False), cache=cache, store=store_at(folder)
        )
    return time.perf_counter() - started, report.metrics["score"]


def hf_trainer(configuration: TrialConfiguration) -> tuple[float, float]:
    """Return seconds and last score of one trial in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "configuration.json"
        file.write_text(configuration.model_dump_json(), encoding="utf-8")
        started = time.perf_counter()
        ended = subprocess.run(
            [sys.executable, "-m", "benchmarks.hf_trainer_trial", str(file)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"},
            check=True,
        )
        seconds = time.perf_counter() - started
    return seconds, float(json.loads(ended.stdout.splitlines()[-1])["scores"][-1])


if __name__ == "__main__":
    main()
