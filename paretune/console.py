"""Where commands print. Text is what it is: none of it is markup, and none of it steers the terminal."""

import sys
from typing import Any

import typer
from rich.console import Console
from rich.text import Text

from paretune.errors import NotConfirmed
from paretune.printable import printable

WIDTH_OF_A_FILE = 160


class PlainConsole(Console):
    """Takes every string as it is, in tables and progress bars, too."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Return the string as text of one line, whatever it holds."""
        return super().render_str(printable(text), **{**options, "markup": False, "emoji": False})


def _console(*, stderr: bool = False) -> PlainConsole:
    stream = sys.stderr if stderr else sys.stdout
    return PlainConsole(stderr=stderr, highlight=False, width=None if stream.isatty() else WIDTH_OF_A_FILE)


console = _console()


def say(*lines: str) -> None:
    """Print each line as it is, however long it may be."""
    for line in lines:
        console.print(line, soft_wrap=True)


def complain(error: Exception) -> None:
    """Print what went wrong on stderr."""
    first, *others = str(error).split("\n")
    errors = _console(stderr=True)
    errors.print(styled((type(error).__name__, "red"), f": {first}"), soft_wrap=True)
    for line in others:
        errors.print(line, soft_wrap=True)


def insist(question: str) -> None:
    """Ask before what cannot be undone.

    Raises:
        NotConfirmed: If the answer is no, or there is none.
    """
    try:
        confirmed = typer.confirm(printable(question))
    except typer.Abort:
        confirmed = False
    if not confirmed:
        raise NotConfirmed("Nothing was deleted. Answer y, or give --yes in a script.")


def styled(*parts: str | tuple[str, str]) -> Text:
    """Join texts, each with a style or without."""
    return Text.assemble(
        *(
            printable(part) if isinstance(part, str) else (printable(part[0]), part[1])
            for part in parts
        )
    )  # fmt: skip
