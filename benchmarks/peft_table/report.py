"""What the table says by itself: the best of each method, and how far a seed and a partition move a score."""

from collections.abc import Sequence

import numpy as np

from benchmarks.autopeft.protocol import MANUAL
from benchmarks.peft_table.configurations import CUSTOMARY
from benchmarks.peft_table.table import Table

AUTO = "auto"


def summary(tables: Sequence[Table]) -> str:
    """Return a table in Markdown: test accuracy of the best configuration of each origin, and the spread."""
    names = [table.task for table in tables]
    lines = [
        f"{len(tables[0])} configurations on {len(tables)} tasks, {tables[0].test.shape[1]} seeds each.",
        "",
        f"| mean test accuracy of the best by mean validation | {' | '.join(names)} |",
        f"| --- |{' ---: |' * len(tables)}",
    ]
    for origin in (CUSTOMARY, *MANUAL, AUTO):
        if tables[0].rows(origin):
            cells = [_cell(table, _best(table, origin)) for table in tables]
            lines.append(f"| {origin} | {' | '.join(cells)} |")
    spreads = [f"{100 * seed_deviation(table):.2f}" for table in tables]
    return "\n".join([*lines, f"| deviation between seeds, validation | {' | '.join(spreads)} |"])


def seed_deviation(table: Table) -> float:
    """Return the deviation of a validation score between seeds, pooled over what learned something.

    The lower half of the configurations is left out: training that hardly moves has no luck to have.
    """
    means = table.validation.mean(axis=1)
    upper = means >= np.median(means)
    return float(np.sqrt(table.validation[upper].var(axis=1, ddof=1).mean()))


def _best(table: Table, origin: str) -> int:
    return max(table.rows(origin), key=lambda row: table.validation[row].mean())


def _cell(table: Table, row: int) -> str:
    rate = table.configurations[row].training.learning_rate
    return f"{100 * table.test[row].mean():.1f} ± {100 * table.test[row].std(ddof=1):.1f} ({rate:g})"
