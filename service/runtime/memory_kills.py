"""How often the kernel has killed a process because memory ran out; only Linux says it."""

from pathlib import Path

STATISTICS = Path("/proc/vmstat")
NAME = "oom_kill "


def memory_kills() -> int:
    """Return how many processes of this machine were killed for lack of memory since it started.

    It is 0 where the kernel does not say.
    """
    try:
        lines = STATISTICS.read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.removeprefix(NAME)) for line in lines if line.startswith(NAME)), 0)
