"""A child process with a log file, a way to stop it, and no way to outlive its parent."""

import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from paretune.errors import ParetuneError
from service.runtime.process_lifetime import die_with_parent

LOG_TAIL_LINES = 15
LONGEST_LOG_LINE = 400
"""A line of JSON may hold a whole traceback."""


class ChildDied(ParetuneError):
    """A process of the server ended before it was ready."""


@dataclass
class Child:
    """How to start a process, and the process once it runs.

    `stop_signal` asks it to end in good order; `orphan_signal` is what the kernel sends it when the
    supervisor is killed (Linux). It has a session of its own, so that a Ctrl-C in the terminal reaches
    the supervisor alone. Without a `log` it prints where the supervisor does.
    """

    name: str
    command: Sequence[str | Path]
    log: Path | None
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    stop_signal: int = signal.SIGTERM
    orphan_signal: int = signal.SIGKILL
    stop_seconds: float = 10.0
    process: subprocess.Popen[bytes] | None = None
    asked_to_stop_at: float | None = None

    def start(self) -> None:
        """Start the process, keeping the last log as `.old`."""
        self.asked_to_stop_at = None
        parent = os.getpid()

        def tie_to_parent() -> None:
            die_with_parent(self.orphan_signal)
            if os.getppid() != parent:  # it died before the tie held
                os._exit(1)

        with self._opened_log() as log:
            self.process = subprocess.Popen(
                [str(part) for part in self.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=None if log is None else subprocess.STDOUT,
                env={**os.environ, **self.environment},
                cwd="/",
                start_new_session=True,
                preexec_fn=tie_to_parent,
                user=self.user,
                group=None if self.user is None else pwd.getpwnam(self.user).pw_gid,
                extra_groups=None if self.user is None else [],
            )

    def _opened_log(self) -> AbstractContextManager[IO[bytes] | None]:
        if self.log is None:
            return nullcontext()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists():
            self.log.replace(self.log.with_suffix(".old"))
        return self.log.open("wb")

    @property
    def pid(self) -> int | None:
        """The process id, once started."""
        return None if self.process is None else self.process.pid

    def is_running(self) -> bool:
        """Return whether the process is running."""
        return self.process is not None and self.process.poll() is None

    def check(self) -> None:
        """Insist that the process lives.

        Raises:
            ChildDied: If it does not; the message ends with the last lines of its log.
        """
        if not self.is_running():
            raise ChildDied(
                f"{self.name} ended before it was ready{self._by_signal()}. The end of {self.log}:\n"
                f"{self.log_tail()}"
            )

    def _by_signal(self) -> str:
        status = None if self.process is None else self.process.returncode
        return f" ({signal.strsignal(-status)})" if status is not None and status < 0 else ""

    def output(self) -> str:
        """Return what it has written since its start; nothing where its log cannot be read."""
        try:
            return "" if self.log is None else self.log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""

    def log_tail(self) -> str:
        """Return the last lines of the log."""
        lines = self.output().splitlines() or ["(no log)"]
        return "\n".join(f"  {line[:LONGEST_LOG_LINE]}" for line in lines[-LOG_TAIL_LINES:])

    def ask_to_stop(self) -> None:
        """Ask the process to end, and do not wait for it."""
        if self.process is not None and self.is_running() and self.asked_to_stop_at is None:
            self.process.send_signal(self.stop_signal)
            self.asked_to_stop_at = time.monotonic()

    def stop(self) -> None:
        """Ask the process to end, if nobody has; `stop_seconds` later end it and everything it started."""
        if self.process is None:
            return
        self.ask_to_stop()
        if self.asked_to_stop_at is not None:
            try:
                self.process.wait(max(self.asked_to_stop_at + self.stop_seconds - time.monotonic(), 0.0))
            except subprocess.TimeoutExpired:
                self.process.kill()
        self._end_group()
        self.process.wait()

    def _end_group(self) -> None:
        # Pool children share the session; whatever is left of it ends here.
        assert self.process is not None  # noqa: S101  only called once started
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            return


def python_child(
    name: str,
    arguments: Sequence[str],
    *,
    log: Path | None,
    environment: Mapping[str, str],
    stop_signal: int = signal.SIGTERM,
    stop_seconds: float = 10.0,
) -> Child:
    """Make a child that runs this interpreter."""
    return Child(
        name=name,
        command=[sys.executable, *arguments],
        log=log,
        environment={"PYTHONUNBUFFERED": "1", **environment},
        stop_signal=stop_signal,
        stop_seconds=stop_seconds,
    )
