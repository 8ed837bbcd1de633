"""What the searches found against LoRA 8 and the best method by hand: means over seeds of the test."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from benchmarks import json_lines
from benchmarks.live_proof.run import BY_HAND, DEFAULT, RESULTS
from benchmarks.markdown import markdown_table

HEADER = (
    "case",
    "LoRA 8, customary",
    "best by hand",
    "searches: best by score",
    "less by hand",
    "recommended",
    "chance said to beat LoRA 8",
)

Lines = Sequence[Mapping[str, Any]]


def live_report(results: Path = RESULTS) -> str:
    """Return a table in Markdown, a line for each case."""
    lines = json_lines.read(results)
    cases = dict.fromkeys(line["case"] for line in lines)
    rows = [_row(case, [line for line in lines if line["case"] == case]) for case in cases]
    return markdown_table(HEADER, rows)


def _row(case: str, lines: Lines) -> list[str]:
    tests: dict[str, list[float]] = {}
    for line in lines:
        if line["kind"] == "test" and line["score"] is not None:
            tests.setdefault(line["name"], []).append(100 * line["score"])
    name, by_hand = _by_hand(lines, tests)
    searches = [line for line in lines if line["kind"] == "search"]
    best = [tests.get(f"search {line['search']} best", []) for line in searches]
    recommended = [tests.get(f"search {line['search']} recommended", []) for line in searches]
    chances = ", ".join(
        "none" if line["probability_better"] is None else f"{line['probability_better']:.3f}"
        for line in searches
    )
    of_searches = [fmean(scores) for scores in best if scores]
    return [
        case,
        _mean(tests.get(DEFAULT, [])),
        f"{name}: {_mean(by_hand)}",
        _each(best),
        _difference(of_searches, by_hand),
        _each(recommended),
        chances,
    ]


def _by_hand(lines: Lines, tests: Mapping[str, list[float]]) -> tuple[str, list[float]]:
    for line in lines:
        if line["kind"] == BY_HAND:
            return line["name"], [100 * score for score in line["scores"]]
    for name, scores in tests.items():
        if name.startswith(BY_HAND):
            return name.removeprefix(f"{BY_HAND}: "), scores
    return "not run", []


def _each(found: Sequence[Sequence[float]]) -> str:
    return ", ".join(_mean(scores) for scores in found) or "not run"


def _mean(scores: Sequence[float]) -> str:
    if len(scores) < 2:
        return "none"
    return f"{fmean(scores):.1f} ± {_error(scores):.1f}"


def _difference(ours: Sequence[float], theirs: Sequence[float]) -> str:
    if len(ours) < 2 or len(theirs) < 2:
        return "none"
    error = math.hypot(_error(ours), _error(theirs))
    return f"{fmean(ours) - fmean(theirs):+.2f} ± {error:.2f}"


def _error(scores: Sequence[float]) -> float:
    return stdev(scores) / math.sqrt(len(scores))
