"""`python -m benchmarks.network_table record` trains every sub-network; `show` says what came of it.

`replay` plays searches on the table, `report` says how they did.
"""

import argparse

import torch

from benchmarks.network_table.networks import TASKS
from benchmarks.network_table.record import record
from benchmarks.network_table.replay import BUDGETS, SEARCHERS, replay
from benchmarks.network_table.report import replay_report, summary
from benchmarks.network_table.table import read_network_tables


def main() -> None:
    """Fill the table, show what it holds, play on it, or report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.network_table", description=__doc__)
    parser.add_argument("action", choices=["record", "show", "replay", "report"])
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--searchers", nargs="+", choices=list(SEARCHERS), default=list(SEARCHERS))
    parser.add_argument("--budgets", nargs="+", type=int, default=list(BUDGETS))
    parser.add_argument("--draws", type=int, default=20)
    asked = parser.parse_args()
    if asked.action == "record":
        record(asked.tasks)
    elif asked.action == "show":
        print(summary(read_network_tables(asked.tasks)))
    elif asked.action == "replay":
        torch.set_num_threads(1)
        tables = read_network_tables(asked.tasks)
        replay(tables, names=asked.searchers, budgets=asked.budgets, draws=asked.draws)
    else:
        print(replay_report())


if __name__ == "__main__":
    main()
