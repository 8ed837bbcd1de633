"""How this process takes its memory from the C library. For glibc; elsewhere a no-op."""

import ctypes

# From glibc's malloc.h.
M_MMAP_THRESHOLD = -3
M_ARENA_MAX = -8


def share_arenas(count: int) -> None:
    """Limit the arenas that all threads share; by default each thread gets one that keeps what it freed.

    Call it before the threads start. They rarely contend: one of them runs at a time.
    Large buffers, the bodies of large answers, go back to the system as soon as they are freed.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_ARENA_MAX, count)
        mallopt(M_MMAP_THRESHOLD, 128 * 1024)
