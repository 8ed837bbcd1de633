"""How the searches did: means over games, paired differences to methods set by hand, with their errors."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from benchmarks import json_lines
from benchmarks.peft_table.replay import KEYS, NAMES, RESULTS

BASELINE = "by hand"

Lines = Sequence[Mapping[str, Any]]


def replay_report(results: Path = RESULTS) -> str:
    """Return a table in Markdown for each budget, with full fine-tuning and without."""
    lines = _newest(json_lines.read(results))
    settings = sorted({(line["budget"], not line["full"]) for line in lines})
    return "\n\n".join(
        _table(
            [line for line in lines if (line["budget"], not line["full"]) == (budget, without)],
            budget,
            without,
        )
        for budget, without in settings
    )


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
                f"| {name} | {len(own)} | {means['test']:.2f} | {_paired(pairs, 'test')} | "
                f"{means['against_default']:+.2f} | {means['hypervolume']:.4f} | "
                f"{_paired(pairs, 'hypervolume')} |"
            )
    return "\n".join(found)


def _game(line: Mapping[str, Any]) -> tuple[str, int]:
    return line["task"], line["draw"]


def _paired(pairs: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]], key: str) -> str:
    """Return the mean difference and its standard error; games of one task share its table."""
    differences = [line[key] - other[key] for line, other in pairs]
    if len(differences) < 2:
        return f"{fmean(differences):+.3f}"
    return f"{fmean(differences):+.3f} ± {stdev(differences) / math.sqrt(len(differences)):.3f}"
