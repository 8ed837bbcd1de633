"""How the searches did: means over games, paired differences to methods set by hand, with their errors."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
from jaxtyping import Float64

from benchmarks import json_lines
from benchmarks.peft_table.replay import KEYS, NAMES, RESULTS

BASELINE = "by hand"
OWN = "paretune"

Lines = Sequence[Mapping[str, Any]]


def replay_report(results: Path = RESULTS) -> str:
    """Return a table in Markdown for each budget, with full fine-tuning and without."""
    lines = _newest(json_lines.read(results))
    settings = sorted({(line["budget"], not line["full"]) for line in lines})
    tables = [
        _table(
            [line for line in lines if (line["budget"], not line["full"]) == (budget, without)],
            budget,
            without,
        )
        for budget, without in settings
    ]
    own = [line for line in lines if line["searcher"] == OWN and "chances" in line]
    return "\n\n".join([*tables, *([calibration(own)] if own else [])])


def calibration(lines: Lines) -> str:
    """Return how often what was said with a chance was true, tenth by tenth, as a table in Markdown."""
    of_front = np.sum([line["chances"] for line in lines], axis=0)
    pairs = np.array([line["better"] for line in lines if "better" in line]).reshape(-1, 2)
    of_better = np.zeros((10, 3))
    for chance, is_true in pairs:
        of_better[min(int(10 * chance), 9)] += (1, chance, is_true)
    found = [
        "| chance said | on the front: trials | said | are | best is better than LoRA 8: games | said | is |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for place, (front, better) in enumerate(zip(of_front, of_better, strict=True)):
        found.append(f"| {place / 10:.1f} to {(place + 1) / 10:.1f} | {_shares(front)} | {_shares(better)} |")
    return "\n".join(found)


def _shares(counted: Float64[np.ndarray, " 3"]) -> str:
    number, said, true = counted
    return f"{number:.0f} | {said / number:.2f} | {true / number:.2f}" if number else "0 | | "


def _newest(lines: Lines) -> Lines:
    """Return the games on the largest table, each once."""
    largest = max((line["configurations"] for line in lines), default=0)
    found = {tuple(line[key] for key in KEYS): line for line in lines if line["configurations"] == largest}
    return list(found.values())


def _table(lines: Lines, budget: int, without: bool) -> str:
    found = [
        f"**{budget} trainings, full fine-tuning {'on neither side' if without else 'on both sides'}**, "
        f"a table of {lines[0]['configurations']} configurations",
        "",
        "| search | games | test | less by hand | less LoRA 8, customary | hypervolume | less by hand |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    base = {_game(line): line for line in lines if line["searcher"] == BASELINE}
    for name in NAMES:
        own = [line for line in lines if line["searcher"] == name and _game(line) in base]
        if own:
            pairs = [(line, base[_game(line)]) for line in own]
            means = {
                key: fmean(line[key] for line in own) for key in ("test", "against_default", "hypervolume")
            }
            found.append(
                f"| {name} | {len(own)} | {means['test']:.2f} | {paired(pairs, 'test')} | "
                f"{means['against_default']:+.2f} | {means['hypervolume']:.4f} | "
                f"{paired(pairs, 'hypervolume')} |"
            )
    return "\n".join(found)


def _game(line: Mapping[str, Any]) -> tuple[str, int]:
    return line["task"], line["draw"]


def paired(pairs: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]], key: str) -> str:
    """Return the mean difference and its standard error; games of one task share its table."""
    differences = [line[key] - other[key] for line, other in pairs]
    if len(differences) < 2:
        return f"{fmean(differences):+.3f}"
    return f"{fmean(differences):+.3f} ± {stdev(differences) / math.sqrt(len(differences)):.3f}"
