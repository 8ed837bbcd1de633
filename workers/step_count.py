"""How many steps a training has done: whole ones."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext


class StepCount:
    """Counts the steps of one training; `held_back` keeps away whatever could break into one."""

    def __init__(self, held_back: Callable[[], AbstractContextManager[None]] = nullcontext) -> None:
        self.done = 0
        self._held_back = held_back

    @contextmanager
    def one(self) -> Iterator[None]:
        """Change the weights inside this block."""
        with self._held_back():
            yield
            self.done += 1
