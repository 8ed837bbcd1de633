"""What the searches found against LoRA 8 and the best method by hand: means over seeds of the test."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from benchmarks import json_lines
from benchmarks.live_proof.run import AGAIN, BY_HAND, DEFAULT, RESULTS, TEST
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

AGAIN_HEADER = ("case", "once more", "seeds", "best by hand", "best by score", "less by hand")

Lines = Sequence[Mapping[str, Any]]


def live_report(results: Path = RESULTS) -> str:
    """Return a table in Markdown with a line for each case, and one of what was tested once more."""
    lines = json_lines.read(results)
    cases = dict.fromkeys(line["case"] for line in lines)
    of_cases = {case: [line for line in lines if line["case"] == case] for case in cases}
    found = markdown_table(HEADER, [_row(case, of_case) for case, of_case in of_cases.items()])
    once_more = [row for case, of_case in of_cases.items() for row in _again(case, of_case)]
    return f"{found}\n\n{markdown_table(AGAIN_HEADER, once_more)}" if once_more else found


def _again(case: str, lines: Lines) -> list[list[str]]:
    """Return a row for each search that was tested once more: differences are by seed."""
    scores: dict[str, dict[int, float]] = {}
    for line in lines:
        if line["kind"] == AGAIN and line["score"] is not None:
            scores.setdefault(line["name"], {})[line["seed"]] = 100 * line["score"]
    by_hand = scores.pop(BY_HAND, {})
    rows = []
    for name, of_search in scores.items():
        less = [score - by_hand[seed] for seed, score in of_search.items() if seed in by_hand]
        means = _mean(list(by_hand.values())), _mean(list(of_search.values()))
        rows.append([case, name, str(len(less)), *means, _signed(less)])
    return rows


def _row(case: str, lines: Lines) -> list[str]:
    tests: dict[str, list[float]] = {}
    for line in lines:
        if line["kind"] == TEST and line["score"] is not None:
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


def _signed(differences: Sequence[float]) -> str:
    return "none" if len(differences) < 2 else f"{fmean(differences):+.2f} ± {_error(differences):.2f}"


def _difference(ours: Sequence[float], theirs: Sequence[float]) -> str:
    if len(ours) < 2 or len(theirs) < 2:
        return "none"
    error = math.hypot(_error(ours), _error(theirs))
    return f"{fmean(ours) - fmean(theirs):+.2f} ± {error:.2f}"


def _error(scores: Sequence[float]) -> float:
    return stdev(scores) / math.sqrt(len(scores))
