"""The report of sub-networks joins what was predicted with what was trained."""

from typing import Any

from benchmarks.architecture.proxies import PROXIES
from benchmarks.architecture.report import report

FLOWS = {"w": 1.0, "a": 2.0, "b": 3.0}
LATER = {"torch 1x32": 5.0, "torch 1x32 spread": 0.1}


def facts(name: str, weights: int, loss: float) -> dict[str, Any]:
    predicted = dict.fromkeys(("predicted_loss", "probe_loss", "distortion"), loss)
    return {"name": name, "digest": name[:1], "layers": [0], "layer_parameters": weights, **predicted}


def run(digest: str, score: float, *, seed: int = 1) -> dict[str, Any]:
    return {"digest": digest, "seed": seed, "validation": score, "test": score, "test_loss": 1 - score}


def test_predictions_are_ranked_against_scores_and_seeds_averaged() -> None:
    """Over different sub-networks: one that two orders give counts once; sizes relate to the whole."""
    lines = [
        facts("whole", 100, 0.1), facts("a", 50, 0.2), facts("again a", 50, 0.2), facts("b", 25, 0.3),
        run("w", 0.9), run("a", 0.7), run("a", 0.8, seed=2), run("b", 0.6),
        {"timed": "whole", "torch 1x32": 10.0, "torch 1x32 spread": 0.1}, {"timed": "a", **LATER},
    ]  # fmt: skip
    lines += [{"proxies_of": digest, **dict.fromkeys(PROXIES, flow)} for digest, flow in FLOWS.items()]
    of_b = {name: value for name, value in run("b", 0.65).items() if name != "digest"}
    lines.append({"taught": "b", "name_of_taught": "b", **of_b})
    text = report(lines)
    assert "| a | 0 | 0.50 | 0.200 | 0.200 | 0.200 | 0.750 | 0.750 | 0.250 |" in text
    assert "Spearman over 3 sub-networks" in text
    assert "| predicted_loss | 1.00 | 1.00 | 1.00 |" in text
    assert "| synflow | -1.00 | -1.00 | -1.00 |" in text
    assert "| b | +0.050 | +0.050 | -0.050 |" in text
    assert "| a | 0.50 |" in text
