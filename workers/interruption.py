"""When a signal may break into a trial, and when it must wait.

A trial may be interrupted while it trains. While its result is being stored it may not: the result
is worth keeping, and the process ends right after. Nor in the middle of a step, which would leave weights
of two steps.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from api_schemas.trials import ArtifactRecord

STOP_ASKED = "the worker was asked to stop"


class TrialStopped(BaseException):  # not an Exception: no handler inside a trial may swallow it
    """The study was cancelled, or another attempt owns the trial.

    `keeps_checkpoint` says whether what was trained is worth keeping, and `checkpoints` what was kept on the
    way out, by the path of the trial's artifacts.
    """

    def __init__(self, reason: str, *, keeps_checkpoint: bool = False) -> None:
        super().__init__(reason)
        self.keeps_checkpoint = keeps_checkpoint
        self.checkpoints: dict[str, tuple[ArtifactRecord, ...]] = {}


class WorkerStopping(BaseException):
    """The worker was asked to stop."""


class Interruption:
    """Remembers whether a trial is training, busy loading or storing, or absent."""

    def __init__(self) -> None:
        self._training = False
        self._busy = False
        self._stop_asked = False
        self._exit_asked = False
        self._wanted = True
        self._held = False
        self._waiting: BaseException | None = None

    def begin(self) -> None:
        """From here to `exit_if_asked` the process does not end, for it may have claimed a trial."""
        self._busy = True
        self._stop_asked = False
        self._wanted = True

    def no_longer_wanted(self) -> None:
        """Say that a trial which is stopped from now on lost no lease: its study wants no more of it."""
        self._wanted = False

    @contextmanager
    def allowed(self) -> Iterator[None]:
        """Let signals raise inside this block, and those that came since `begin` before it.

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
        """Let a signal that comes inside this block raise at its end."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
        if self._waiting is not None:
            raise self._waiting

    def exit_if_asked(self) -> None:
        """End the process if it was asked to stop in the meantime."""
        self._busy = False
        if self._exit_asked:
            raise SystemExit(0)

    def stop_trial(self) -> None:
        """Break into the training, or prevent it if it has not begun."""
        self._stop_asked = self._busy
        if self._training:
            self._break_in(self._stopped())

    def stop_worker(self) -> None:
        """Break into the training and end the process; end it at once if it is idle."""
        self._exit_asked = True
        if self._training:
            self._break_in(WorkerStopping(STOP_ASKED))
        if not self._busy:
            raise SystemExit(0)

    def _stopped(self) -> TrialStopped:
        reason = "the lease was lost" if self._wanted else "nobody wants its result any more"
        return TrialStopped(reason, keeps_checkpoint=self._training and not self._wanted)

    def _break_in(self, stop: BaseException) -> None:
        self._training = False
        if not self._held:
            raise stop
        self._waiting = stop


interruption = Interruption()
"""This process's: signals belong to a process."""
