"""`python -m benchmarks.peft_table record [--tasks ...]` trains what the table lacks."""

import argparse

from benchmarks.autopeft.protocol import TASKS
from benchmarks.peft_table.record import record

CONFIGURATIONS = 209
"""33 by hand, 176 of `auto`."""


def main() -> None:
    """Fill the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=["record"])
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--configurations", type=int, default=CONFIGURATIONS)
    arguments = parser.parse_args()
    record(arguments.tasks, configurations=arguments.configurations)


if __name__ == "__main__":
    main()
