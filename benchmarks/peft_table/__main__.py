"""`python -m benchmarks.peft_table record` trains what the table lacks; `show` says what it holds.

`replay` plays searches on it, `report` says how they did.
"""

import argparse

import torch

from benchmarks.autopeft.protocol import TASKS
from benchmarks.peft_table.record import record
from benchmarks.peft_table.replay import BUDGETS, NAMES, replay
from benchmarks.peft_table.replay_report import replay_report
from benchmarks.peft_table.report import summary
from benchmarks.peft_table.table import read_tables

CONFIGURATIONS = 209
"""33 by hand, 176 of `auto`."""


def main() -> None:
    """Fill the table, show what it holds, play on it, or report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=["record", "show", "replay", "report"])
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--configurations", type=int, default=CONFIGURATIONS)
    parser.add_argument("--searchers", nargs="+", choices=NAMES, default=list(NAMES))
    parser.add_argument("--budgets", nargs="+", type=int, default=list(BUDGETS))
    parser.add_argument("--draws", type=int, default=100)
    asked = parser.parse_args()
    if asked.action == "record":
        record(asked.tasks, configurations=asked.configurations)
    elif asked.action == "show":
        print(summary(read_tables(asked.tasks)))
    elif asked.action == "replay":
        torch.set_num_threads(1)
        replay(read_tables(TASKS), names=asked.searchers, budgets=asked.budgets, draws=asked.draws)
    else:
        print(replay_report())


if __name__ == "__main__":
    main()
