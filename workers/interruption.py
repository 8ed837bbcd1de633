"""When a signal may interrupt a trial, and when it must wait.

A trial may be interrupted while it trains, but not in the middle of a step, which would leave weights of two
steps, and not while its result is being stored: the process ends right after that.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from api_schemas.trials import ArtifactRecord

STOP_ASKED = "the worker was asked to stop"


class TrialStopped(BaseException):  # not an Exception: no handler inside a trial may swallow it
    """The trial's result is no longer wanted, or another attempt owns the trial.

    `keeps_checkpoint` is whether to save what was trained, and `checkpoints` has what was saved, by the path
    of the trial's artifacts.
    """

    def __init__(self, reason: str, *, keeps_checkpoint: bool = False) -> None:
        super().__init__(reason)
        self.keeps_checkpoint = keeps_checkpoint
        self.checkpoints: dict[str, tuple[ArtifactRecord, ...]] = {}


class WorkerStopping(BaseException):
    """The worker was asked to stop."""


class Interruption:
    """Remembers whether the process trains, loads or stores a trial, or has none."""

    def __init__(self) -> None:
        self._training = False
        self._busy = False
        self._stop_asked = False
        self._exit_asked = False
        self._wanted = True
        self._held = False
        self._waiting: BaseException | None = None

    def begin(self) -> None:
        """Keep the process from ending until `exit_if_asked`: it may have claimed a trial."""
        self._busy = True
        self._stop_asked = False
        self._wanted = True

    def no_longer_wanted(self) -> None:
        """Note that a trial stopped from now on kept its lease, but its result is no longer wanted."""
        self._wanted = False

    @contextmanager
    def allowed(self) -> Iterator[None]:
        """Let signals raise inside this block; those received since `begin` raise before it.

        After it, they wait for `exit_if_asked`.
        """
        if self._exit_asked:
            raise WorkerStopping(STOP_ASKED)
        if self._stop_asked:
            raise self._stopped()
        self._training = True
        self._waiting = None
        try:
            yield
        finally:
            self._training = False

    @contextmanager
    def held_back(self) -> Iterator[None]:
        """Delay a signal received inside this block to its end."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
        if self._waiting is not None:
            raise self._waiting

    def exit_if_asked(self) -> None:
        """End the process if it was asked to stop since `begin`."""
        self._busy = False
        if self._exit_asked:
            raise SystemExit(0)

    def stop_trial(self) -> None:
        """Interrupt the training, or prevent it if it has not begun."""
        self._stop_asked = self._busy
        if self._training:
            self._interrupt(self._stopped())

    def stop_worker(self) -> None:
        """Interrupt the training and end the process; end it at once if it is idle."""
        self._exit_asked = True
        if self._training:
            self._interrupt(WorkerStopping(STOP_ASKED))
        if not self._busy:
            raise SystemExit(0)

    def _stopped(self) -> TrialStopped:
        reason = "the lease was lost" if self._wanted else "its result is no longer wanted"
        return TrialStopped(reason, keeps_checkpoint=self._training and not self._wanted)

    def _interrupt(self, stop: BaseException) -> None:
        self._training = False
        if not self._held:
            raise stop
        self._waiting = stop


interruption = Interruption()
"""This process's: signals belong to a process."""
