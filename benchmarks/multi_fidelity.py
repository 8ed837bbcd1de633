"""How early a trial's end can be told, on recorded trials: `python -m benchmarks.multi_fidelity`.

For each cheap signal: its rank correlation with the final validation score (90 % bootstrap interval),
its correlation with the final test score, which shares no rows with the signal, and how many of the
best quarter are kept if the worse half by the signal is dropped.
"""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from benchmarks import json_lines

RECORDED = Path(__file__).parent / "recorded"
RESAMPLES = 2000


def main() -> None:
    """Print a table for each task."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tasks", nargs="+", default=json_lines.names(RECORDED))
    for task in parser.parse_args().tasks:
        lines = json_lines.read(RECORDED / f"{task}.jsonl")
        trials = [line for line in lines if line["state"] == "SUCCEEDED"]
        print(f"\n{task}: {len(trials)} trials, {len(lines) - len(trials)} infeasible")
        print(f"{'signal':34} {'rank correlation, final score':>29} {'test score':>12} {'best kept':>12}")
        finals = [trial["metrics"]["score"] for trial in trials]
        tests = [trial["test_metrics"]["score"] for trial in trials]
        for name, values in signals(trials).items():
            low, high = interval(values, finals)
            kept, best = best_kept(values, finals)
            print(
                f"{name:34} {correlation(values, finals):13.2f} [{low:5.2f}, {high:5.2f}] "
                f"{correlation(values, tests):12.2f} {f'{kept}/{best}':>12}"
            )


def signals(trials: Sequence[dict[str, Any]]) -> dict[str, list[float]]:
    """Return each signal's values, higher for better, by what it is."""
    points = len(trials[0]["curve"])
    found: dict[str, list[float]] = {}
    for number in range(points):
        share = f"{100 * (number + 1) / points:.0f} % of the steps"
        found[f"score at {share}"] = [trial["curve"][number]["score"] for trial in trials]
        found[f"loss at {share}"] = [-trial["curve"][number]["loss"] for trial in trials]
        found[f"train loss up to {share}"] = [-trial["curve"][number]["train_loss"] for trial in trials]
    found["log10 of the parameters"] = [
        math.log10(trial["metrics"]["trainable_parameters"]) for trial in trials
    ]
    return found


def correlation(values: Sequence[float], others: Sequence[float]) -> float:
    """Return Spearman's rank correlation."""
    return float(spearmanr(values, others).statistic)


def interval(values: Sequence[float], others: Sequence[float]) -> tuple[float, float]:
    """Return a 90 % bootstrap interval of the rank correlation."""
    rng = np.random.default_rng(0)
    pairs = np.column_stack([values, others])
    drawn = [pairs[rng.integers(len(pairs), size=len(pairs))] for _ in range(RESAMPLES)]
    found = [correlation(sample[:, 0], sample[:, 1]) for sample in drawn]
    return float(np.nanquantile(found, 0.05)), float(np.nanquantile(found, 0.95))


def best_kept(values: Sequence[float], finals: Sequence[float]) -> tuple[int, int]:
    """Count the best quarter by final score, and those of them in the better half by the signal."""
    best = sorted(range(len(finals)), key=lambda trial: -finals[trial])[: len(finals) // 4]
    better_half = sorted(range(len(values)), key=lambda trial: -values[trial])[: math.ceil(len(values) / 2)]
    return len(set(best) & set(better_half)), len(best)


if __name__ == "__main__":
    main()
