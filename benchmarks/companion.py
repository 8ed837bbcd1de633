"""Does the validation loss tell more of test than the score? `python -m benchmarks.companion`.

Recorded trials of two tasks, one seed each. Linear regression of the test score on the standardised
validation score, the loss, and both; each trial is predicted from the others. Prints the root mean
squared errors.
"""

import gzip
import json
from pathlib import Path

import numpy as np
from jaxtyping import Float64

RECORDED = Path(__file__).parent / "recorded"
TASKS = ("rotten-tomatoes", "tweets")


def main() -> None:
    """Print a line for each task, for all of its trials and for the better half on validation."""
    print("| task | trials | score | loss | both |\n| --- | ---: | ---: | ---: | ---: |")
    for task in TASKS:
        with gzip.open(RECORDED / f"{task}.jsonl.gz", "rt") as lines:
            trials = [line for line in map(json.loads, lines) if line["state"] == "SUCCEEDED"]
        score, loss = (np.array([one["metrics"][name] for one in trials]) for name in ("score", "loss"))
        test = np.array([one["test_metrics"]["score"] for one in trials])
        for name, kept in (("all", score >= score.min()), ("better half", score >= np.median(score))):
            columns = [score[kept]], [loss[kept]], [score[kept], loss[kept]]
            errors = [left_out_error(np.stack(chosen, axis=1), test[kept]) for chosen in columns]
            print(f"| {task}, {name} | {kept.sum()} | {' | '.join(f'{error:.4f}' for error in errors)} |")


def left_out_error(X: Float64[np.ndarray, "n d"], y: Float64[np.ndarray, " n"]) -> float:
    """Return the root mean squared error of each row's prediction from all others."""
    X = np.column_stack([np.ones(len(y)), (X - X.mean(axis=0)) / X.std(axis=0)])
    leverage = np.einsum("ij,ji->i", X, np.linalg.pinv(X))
    residuals = y - X @ np.linalg.lstsq(X, y, rcond=None)[0]
    return float(np.sqrt(np.mean((residuals / (1 - leverage)) ** 2)))


if __name__ == "__main__":
    main()
