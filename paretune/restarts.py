"""Start again what has died, after a pause that grows while it keeps dying; stop several at once."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from paretune.child_process import Child

SUPERVISION_SECONDS = 0.25
"""How often whoever supervises looks."""
LONGEST_PAUSE_SECONDS = 10.0
QUICK_DEATH_SECONDS = 10.0


@dataclass
class Supervised:
    """A child process, with the state that its restarts need."""

    child: Child
    restarts_in_a_row: int = 0
    started_at: float = 0.0
    start_again_at: float | None = None


def restart_what_died(supervised: Iterable[Supervised], *, say: Callable[[str], None]) -> None:
    """Look once at each child. Call it again and again, from the thread that started them."""
    now = time.monotonic()
    for item in supervised:
        if item.child.is_running():
            continue
        if item.start_again_at is None:
            lived = now - item.started_at
            item.restarts_in_a_row = item.restarts_in_a_row + 1 if lived < QUICK_DEATH_SECONDS else 0
            pause = min(0.2 * 2**item.restarts_in_a_row, LONGEST_PAUSE_SECONDS)
            item.start_again_at = now + pause
            log = f" Log: {item.child.log}" if item.child.log else ""
            say(f"{item.child.name} ended; starting it again in {pause:.1f} s.{log}")
        elif now >= item.start_again_at:
            item.child.start()
            item.started_at, item.start_again_at = now, None


def stop_together(children: Iterable[Child]) -> None:
    """Ask all of them to end, then wait for each: together they take as long as the slowest."""
    asked = list(children)
    for child in asked:
        child.ask_to_stop()
    for child in asked:
        child.stop()
