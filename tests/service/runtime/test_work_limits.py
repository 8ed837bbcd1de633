"""Limits of time and memory, where need be in processes of their own."""

import os
import subprocess
import sys
import threading

import pytest

from service.runtime import work_limits
from service.runtime.work_limits import TimeLimitReached, at_most, memory_of_machine


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, **environment},
    )


def test_too_much_memory_is_an_exception_of_whoever_asks_for_it() -> None:
    """The process goes on afterwards, and asks for what it may have."""
    code = """
import numpy as np
from service.runtime.work_limits import limit_memory
limit_memory()
try:
    np.ones(2**30)
except MemoryError:
    print("refused", np.ones(2**20).sum())
"""
    assert run(code, PARETUNE_STUDY_MEMORY_BYTES=str(2**30)).stdout == "refused 1048576.0\n"


def test_without_a_setting_a_worker_may_have_half_of_the_machine() -> None:
    """Or of the container, whichever is less."""
    code = """
import resource
from service.runtime.work_limits import limit_memory
limit_memory()
print(resource.getrlimit(resource.RLIMIT_DATA)[0])
"""
    environment = {"PARETUNE_STUDY_MEMORY_BYTES": ""}
    assert int(run(code, **environment).stdout) == memory_of_machine() // 2


def test_a_block_that_takes_too_long_is_interrupted() -> None:
    """With a sentence; what comes after it is not."""
    with pytest.raises(TimeLimitReached, match=r"more than 0\.01 s"), at_most(0.01):
        threading.Event().wait(20)
    assert not threading.Event().wait(0.05)


def test_a_block_that_heeds_no_exception_ends_its_process() -> None:
    """With a traceback that says where it hung."""
    code = """
from service.runtime import work_limits
work_limits.LAST_SECONDS = 0.1
def hang():
    while True:
        try:
            while True: pass
        except BaseException: pass
with work_limits.at_most(0.01):
    hang()
"""
    ended = run(code)
    assert ended.returncode == 1
    assert "in hang" in ended.stderr


def test_in_other_threads_there_is_no_limit() -> None:
    """Signals do not reach them; a study worker works in its main thread."""
    done: list[bool] = []

    def work() -> None:
        with work_limits.at_most(0.01):
            done.append(not threading.Event().wait(0.05))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [True]
