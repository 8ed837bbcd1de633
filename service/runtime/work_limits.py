"""Time and memory that one study may take of a study worker, enforced in the pool's child.

The first limit of time raises an exception. Code that cannot be interrupted, in a library that holds the
interpreter, meets the second, which ends the process with a traceback in its log. An allocation beyond the
limit of memory fails with an exception, so the kernel need not choose a process to kill. Knows no study.
"""

import faulthandler
import resource
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.settings import settings

LAST_SECONDS = 30.0
"""After the first limit of time, until the process ends."""

STANDARD_ERROR = 2
CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


class TimeLimitReached(BaseException):
    """The work took too long. Not an `Exception`, so that no handler in the work catches it."""


def limit_memory() -> None:
    """Limit the memory of this process to the setting, or to half of the machine's."""
    wanted = settings().study_memory_bytes or memory_of_machine() // 2
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def memory_of_machine() -> int:
    """Return the bytes of memory that this machine, or this container of it, has."""
    total = 0
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemTotal:"):
            total = int(line.split()[1]) * 1024
    for path in CGROUP_LIMITS:
        try:
            limit = Path(path).read_text(encoding="ascii").strip()
        except OSError:
            continue
        if limit.isdigit():
            total = min(total, int(limit))
    return total


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Interrupt a block that takes too long, and end the process if it goes on nevertheless.

    Raises:
        TimeLimitReached: In the block. Other threads than the main one get no signals, so no limit.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_signal: int, _frame: object) -> None:
        raise TimeLimitReached(f"it took more than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, stop)
    faulthandler.dump_traceback_later(seconds + LAST_SECONDS, exit=True, file=STANDARD_ERROR)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGALRM, before)
