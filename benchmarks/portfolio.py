"""Choose the portfolio of starting points from the recorded table: `python -m benchmarks.portfolio`.

Greedily: each member is the one that adds most to the coverage of those before it, on average over the tasks.
Coverage is the mean of two shares of what the whole table reaches: the hypervolume of mean scores (of seeds,
of validation and test) against the logarithm of trained parameters, and the best score. By the hypervolume
alone, what costs much and is best hardly counts. LoRA 8 at its usual rate, the default, and the head
alone are always members: others are compared with the one, and nothing is cheaper than the other.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.autopeft.protocol import BACKBONE, TASKS
from benchmarks.peft_table.configurations import CUSTOMARY, searched_shape
from benchmarks.peft_table.record import SEEDS
from benchmarks.peft_table.table import Table, read_tables
from service.studies.portfolio import member_of

MEMBERS = 8
FILE = Path(__file__).parents[1] / "service" / "studies" / "portfolio.json"


def main() -> None:
    """Choose the members, say what each adds, and write the file that the service ships."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"write {FILE.name}")
    arguments = parser.parse_args()
    tables = read_tables(TASKS)
    chosen = portfolio(tables)
    for count in range(1, len(chosen) + 1):
        print(f"{coverage(tables, chosen[:count]):.4f} with {tables[0].names[chosen[count - 1]]}")
    if arguments.write:
        FILE.write_text(json.dumps(shipped(tables, chosen), indent=2) + "\n")


def portfolio(tables: Sequence[Table], *, members: int = MEMBERS) -> list[int]:
    """Return the rows of the members: the default, then the greedy order, with a head alone among them."""
    names = tables[0].names
    chosen = [names.index(CUSTOMARY)]
    while len(chosen) < members:
        heads = [row for row in range(len(names)) if _is_head(tables[0], row)]
        owed = len(chosen) == members - 1 and not set(heads) & set(chosen)
        candidates = [row for row in (heads if owed else range(len(names))) if row not in chosen]
        chosen.append(max(candidates, key=lambda row: coverage(tables, [*chosen, row])))
    return chosen


def coverage(tables: Sequence[Table], rows: Sequence[int]) -> float:
    """Return the share of what the tables reach that some rows reach, averaged over tasks."""
    return float(np.mean([_covered(table, rows) for table in tables]))


def _covered(table: Table, rows: Sequence[int]) -> float:
    scores = (table.validation.mean(axis=1) + table.test.mean(axis=1)) / 2
    volume = table.dominated(rows, scores) / table.dominated(range(len(table)), scores)
    gain = scores - table.guessing
    return float(volume + gain[list(rows)].max() / gain.max()) / 2


def shipped(tables: Sequence[Table], chosen: Sequence[int]) -> dict[str, Any]:
    """Return the portfolio as data: where it is from, and what each member trains."""
    shape = searched_shape()
    return {
        "provenance": {
            "command": "python -m benchmarks.portfolio --write",
            "backbone": BACKBONE,
            "tasks": [table.task for table in tables],
            "configurations": len(tables[0]),
            "seeds": len(SEEDS),
            "coverage": round(coverage(tables, chosen), 4),
        },
        "backbone": {"layers": shape.layers, "hidden_size": shape.hidden_size},
        "members": [
            {"name": tables[0].names[row], **member_of(tables[0].configurations[row])} for row in chosen
        ],
    }


def _is_head(table: Table, row: int) -> bool:
    return not any(table.configurations[row].peft.active_layers or ())


if __name__ == "__main__":
    main()
