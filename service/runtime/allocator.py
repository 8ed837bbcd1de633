"""How this process takes its memory from the C library. For glibc; elsewhere a no-op."""

import ctypes

# From glibc's malloc.h.
M_MMAP_THRESHOLD = -3
M_ARENA_MAX = -8


def share_arenas(count: int) -> None:
    """Let all threads allocate from so few arenas; glibc would give each thread one that keeps what it freed.

    Call it before the threads start. They rarely wait for one another: the interpreter lets one of them run.
    Large buffers, the bodies of large answers, go back to the system as soon as they are freed.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_ARENA_MAX, count)
        mallopt(M_MMAP_THRESHOLD, 128 * 1024)
