"""How a long import or export says how far it is."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from paretune.console import PlainConsole
from paretune.printable import printable

Progress = Callable[[int, int], None]
"""Called with how many are done, and of how many."""


def unwatched(_done: int, _total: int) -> None:
    """Say nothing."""


@contextmanager
def watched(console: PlainConsole, label: str) -> Iterator[Progress]:
    """Show a bar with the time left; without a terminal nothing can be redrawn, and nothing is shown."""
    if not console.is_terminal:
        yield unwatched
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task(printable(label), total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
