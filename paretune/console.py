"""Where commands print."""

import sys

from rich.console import Console

console = Console(width=None if sys.stdout.isatty() else 140)


def say(line: str) -> None:
    """Print a line as it is, however long it may be."""
    console.print(line, highlight=False, markup=False, soft_wrap=True)
