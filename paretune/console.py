"""Where commands print. Text is what it is: none of it is markup, and none of it steers the terminal."""

import json
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import typer
from pydantic import BaseModel
from rich.console import Console
from rich.text import Text

from paretune.errors import NotConfirmed
from paretune.printable import printable

WIDTH_OF_A_FILE = 160
SILENT_SECONDS = 1.0

Answer = BaseModel | Sequence[BaseModel]


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


def explain(*lines: str) -> None:
    """Print sentences, on a terminal broken between words. A line with a command is whole, to be copied."""
    for line in lines:
        console.print(line, soft_wrap=_is_whole(console, line))


def note(line: str) -> None:
    """Print on stderr what is no part of the answer."""
    _console(stderr=True).print(line, soft_wrap=True)


def say_json(found: Answer | Mapping[str, Answer]) -> None:
    """Print an answer, a list of them, or several by name, as one JSON document."""
    say(*json.dumps(_as_json(found), indent=2).splitlines())


def say_json_line(found: BaseModel) -> None:
    """Print an answer as JSON in one line."""
    say(json.dumps(_as_json(found)))


@contextmanager
def working(step: str, *, in_lines: bool = False) -> Iterator[Callable[[str], None]]:
    """Show a spinner with what is going on once a block has taken a second; gives what names the next step.

    Only on a terminal: a file or a pipe gets no animation, and `in_lines` each further step on stderr.
    """
    target = next((one for one in (console, _console(stderr=True)) if one.is_terminal), None)
    if target is None:
        yield note if in_lines else lambda _: None
        return
    status = target.status(styled(f"{step} ..."))
    timer = threading.Timer(SILENT_SECONDS, status.start)
    timer.daemon = True
    timer.start()
    try:
        yield lambda next_step: status.update(styled(f"{next_step} ..."))
    finally:
        timer.cancel()
        timer.join()
        status.stop()


def complain(error: Exception) -> None:
    """Print what went wrong on stderr."""
    first, *others = str(error).split("\n")
    errors = _console(stderr=True)
    errors.print(styled((type(error).__name__, "red"), f": {first}"), soft_wrap=_is_whole(errors, first))
    for line in others:
        errors.print(line, soft_wrap=_is_whole(errors, line))


def agreed(question: str, *, by_default: bool = False) -> bool:
    """Return whether the person at the terminal says yes; without one, nobody does."""
    try:
        return typer.confirm(printable(question), default=by_default)
    except typer.Abort:
        return False


def chosen(question: str, among: Sequence[str], *, guess: str | None) -> str | None:
    """Return what the person at the terminal chooses; None without one."""
    while True:
        try:
            answer: str = typer.prompt(
                printable(question), default=None if guess is None else printable(guess)
            )
        except typer.Abort:
            return None
        found = [one for one in among if answer in (one, printable(one))]
        if found:
            return found[0]
        say(f"There is no '{answer}'. There are: {', '.join(among)}")


def insist(question: str) -> None:
    """Ask before what cannot be undone.

    Raises:
        NotConfirmed: If the answer is no, or there is none.
    """
    if not agreed(question):
        raise NotConfirmed("Nothing was changed. Answer y, or give --yes in a script.")


def styled(*parts: str | tuple[str, str]) -> Text:
    """Join texts, each with a style or without."""
    return Text.assemble(
        *(
            printable(part) if isinstance(part, str) else (printable(part[0]), part[1])
            for part in parts
        )
    )  # fmt: skip


def _is_whole(target: PlainConsole, line: str) -> bool:
    return not target.is_terminal or "paretune " in line


def _as_json(found: Answer | Mapping[str, Answer]) -> object:
    if isinstance(found, BaseModel):
        return found.model_dump(mode="json", by_alias=True)
    if isinstance(found, Mapping):
        return {name: _as_json(one) for name, one in found.items()}
    return [_as_json(one) for one in found]
