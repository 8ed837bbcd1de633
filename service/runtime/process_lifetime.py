"""Tie a process to its parent, so that a killed parent leaves no orphan. Linux only; elsewhere a no-op."""

import ctypes
import signal
import sys

PR_SET_PDEATHSIG = 1


def die_with_parent(signal_number: int = signal.SIGKILL) -> None:
    """Ask the kernel to send this process the signal when the thread that forked it ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal_number)
