"""Send the logs of a pack's trials: beside heartbeats, and before the word that ends an attempt.

Nothing hangs on them: what is not taken goes with the next lines, and nobody waits for them for long.
"""

import contextvars
import threading
from collections.abc import Sequence
from contextlib import suppress

from api_schemas.trials import ClaimedTrial
from service.errors import NotFound, StaleAttempt
from service.trials import leases
from workers.attempt_log import PackLog
from workers.spans import without_trace

SENDING_SECONDS = 5.0
"""A result does not wait longer for lines that a database is slow to take."""
GIVING_BACK_SECONDS = 1.0
"""Nor do trials that are given back, all together: their worker is being stopped, or another one waits."""


def send_log(said: PackLog, claimed: ClaimedTrial) -> None:
    """Send the last lines of a trial if it has said more. One that is no longer ours has its lines by now."""
    tail = said.tail(claimed)
    # One at a time: older lines that a heartbeat sends must not arrive after the last ones.
    if not said.sending.acquire(timeout=SENDING_SECONDS):
        return
    try:
        with suppress(StaleAttempt, NotFound), without_trace():
            news = tail.news()
            if news is not None and leases.store_log(claimed.trial_id, claimed.attempt, news[1]):
                tail.seen(news[0])
    finally:
        said.sending.release()


def send_last(said: PackLog, ending: Sequence[ClaimedTrial], *, seconds: float) -> None:
    """Send the last lines of trials, whose end is told next; return after so many seconds in any case."""

    def send() -> None:
        for one in ending:
            send_log(said, one)

    # On a thread: a connection to a database that is away has a patience of its own.
    sending = threading.Thread(
        target=contextvars.copy_context().run, args=(send,), name="last lines", daemon=True
    )
    sending.start()
    sending.join(seconds)
