"""When a signal may break into a trial, and when it must wait.

A trial may be interrupted while it trains. While its result is being stored it may not: the result
is worth keeping, and the process ends right after.
"""

from collections.abc import Iterator
from contextlib import contextmanager

STOP_ASKED = "the worker was asked to stop"
NOT_WANTED = "the study was cancelled or the lease was lost"


class TrialStopped(BaseException):  # not an Exception: no handler inside a trial may swallow it
    """The study was cancelled, or another attempt owns the trial."""


class WorkerStopping(BaseException):
    """The worker was asked to stop."""


class Interruption:
    """Remembers whether a trial is training, busy loading or storing, or absent."""

    def __init__(self) -> None:
        self._training = False
        self._busy = False
        self._stop_asked = False
        self._exit_asked = False

    def begin(self) -> None:
        """From here to `exit_if_asked` the process does not end, for it may have claimed a trial."""
        self._busy = True
        self._stop_asked = False

    @contextmanager
    def allowed(self) -> Iterator[None]:
        """Let signals raise inside this block, and those that came since `begin` before it.

        After it, they wait for `exit_if_asked`.
        """
        if self._exit_asked:
            raise WorkerStopping(STOP_ASKED)
        if self._stop_asked:
            raise TrialStopped(NOT_WANTED)
        self._training = True
        try:
            yield
        finally:
            self._training = False

    def exit_if_asked(self) -> None:
        """End the process if it was asked to stop in the meantime."""
        self._busy = False
        if self._exit_asked:
            raise SystemExit(0)

    def stop_trial(self) -> None:
        """Break into the training, or prevent it if it has not begun."""
        self._stop_asked = self._busy
        if self._training:
            self._training = False
            raise TrialStopped(NOT_WANTED)

    def stop_worker(self) -> None:
        """Break into the training and end the process; end it at once if it is idle."""
        self._exit_asked = True
        if self._training:
            self._training = False
            raise WorkerStopping(STOP_ASKED)
        if not self._busy:
            raise SystemExit(0)
