"""Let a command that is told to end do so in good order."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def interruptible(*others: signal.Signals) -> Iterator[None]:
    """Let SIGINT and SIGTERM alike end the block in good order, and other signals that are named.

    SIGINT is named too, because a shell that starts a process in the background has it ignored.
    """

    def interrupt(_signal: int, _frame: object) -> None:
        raise KeyboardInterrupt

    numbers = (signal.SIGINT, signal.SIGTERM, *others)
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
