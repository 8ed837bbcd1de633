"""How the searches did, paired with what people cut by hand, game by game; and the table itself."""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks import json_lines
from benchmarks.markdown import markdown_table
from benchmarks.network_table.networks import DROPPED, NARROWED, WHOLE
from benchmarks.network_table.replay import RESULTS, SEARCHERS
from benchmarks.peft_table.game import true_scores
from benchmarks.peft_table.replay_report import paired
from benchmarks.peft_table.table import Table

BASELINE = "both by hand"


def replay_report(results: Path = RESULTS) -> str:
    """Return a table in Markdown for each budget."""
    lines = json_lines.read(results)
    budgets = sorted({line["budget"] for line in lines})
    return "\n\n".join(
        f"**{budget} trainings**\n\n{_table([line for line in lines if line['budget'] == budget])}"
        for budget in budgets
    )


def _table(lines: Sequence[dict[str, Any]]) -> str:
    base = {_game(line): line for line in lines if line["searcher"] == BASELINE}
    rows = []
    for name in SEARCHERS:
        own = [line for line in lines if line["searcher"] == name and _game(line) in base]
        if own:
            pairs = [(line, base[_game(line)]) for line in own]
            means = [fmean(line[key] for line in own) for key in ("hypervolume", "cheapest")]
            less = paired(pairs, "hypervolume")
            rows.append([name, f"{len(own)}", f"{means[0]:.4f}", less, f"{means[1]:.3f}"])
    header = ["search", "games", "hypervolume", f"less {BASELINE}", "cheapest as good as the whole"]
    return markdown_table(header, rows)


def _game(line: dict[str, Any]) -> tuple[str, int]:
    return line["task"], line["draw"]


def summary(tables: Sequence[Table]) -> str:
    """Return what people would cut by hand, and the front of each task, in test scores."""
    found = []
    for table in tables:
        truth = true_scores(table)
        whole = table.cost[table.origins.index(WHOLE)]
        by_hand = [row for row, origin in enumerate(table.origins) if origin in (WHOLE, DROPPED, NARROWED)]
        for title, rows in (("cut by hand", by_hand), ("the front", _front(table))):
            cells = [
                [table.names[row], f"{table.cost[row] / whole:.2f}", f"{truth[row]:.3f}"]
                for row in sorted(rows, key=lambda row: -table.cost[row])
            ]
            found.append(
                f"{table.task}, {title}\n\n{markdown_table(['network', 'operations', 'test'], cells)}"
            )
    return "\n\n".join(found)


def _front(table: Table) -> list[int]:
    truth, best, found = true_scores(table), 0.0, []
    for row in sorted(range(len(table)), key=lambda row: (table.cost[row], -truth[row])):
        if truth[row] > best:
            best = float(truth[row])
            found.append(row)
    return found
