"""What the API process asks of the C library's allocator."""

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, sys, threading
from service.runtime.allocator import share_arenas

share_arenas(2)
barrier = threading.Barrier(8)

def allocate():
    barrier.wait()
    kept = [bytearray(10_000) for _ in range(200)]
    barrier.wait()
    return kept

threads = [threading.Thread(target=allocate) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
libc = ctypes.CDLL(None)
libc.fdopen.restype = ctypes.c_void_p
stream = ctypes.c_void_p(libc.fdopen(1, b"w"))
libc.malloc_info(0, stream)
libc.fflush(stream)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has arenas")
def test_eight_threads_share_two_arenas() -> None:
    """As the C library itself counts them."""
    ended = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True)
    assert 1 <= ended.stdout.count("<heap nr=") <= 2
