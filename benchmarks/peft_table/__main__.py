"""`python -m benchmarks.peft_table record` trains what the table lacks; `show` says what it holds."""

import argparse

from benchmarks.autopeft.protocol import TASKS
from benchmarks.peft_table.record import record
from benchmarks.peft_table.report import summary
from benchmarks.peft_table.table import read_tables

CONFIGURATIONS = 209
"""33 by hand, 176 of `auto`."""


def main() -> None:
    """Fill the table, or show what it holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=["record", "show"])
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--configurations", type=int, default=CONFIGURATIONS)
    arguments = parser.parse_args()
    if arguments.action == "record":
        record(arguments.tasks, configurations=arguments.configurations)
    else:
        print(summary(read_tables(arguments.tasks)))


if __name__ == "__main__":
    main()
