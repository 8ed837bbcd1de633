"""Look after a server that a command started for itself, while the command does something else."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from paretune.local import Stack
from paretune.restarts import SUPERVISION_SECONDS


@contextmanager
def supervised(stack: Stack) -> Iterator[Callable[[], None]]:
    """Restart what dies, in a thread of its own, for the length of a block; then stop the stack.

    Gives what raises the error that ended supervision, if one did; the end of the block raises it, too.
    """
    ending = threading.Event()
    # The kernel ends a child with the thread that started it, so the thread stays until all have stopped.
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="supervision") as thread:
        supervision = thread.submit(_supervise, stack, ending)

        def check() -> None:
            if supervision.done():
                supervision.result()

        try:
            yield check
        finally:
            ending.set()
            try:
                supervision.result()
            finally:
                stack.stop()


def _supervise(stack: Stack, ending: threading.Event) -> None:
    while not ending.wait(SUPERVISION_SECONDS):
        stack.supervise_once()
