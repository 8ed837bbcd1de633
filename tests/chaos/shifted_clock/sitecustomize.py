"""Shift the wall clock of a process, as on a host whose clock is wrong. Python loads this at its start.

Only what asks `time` is shifted; `datetime` asks the operating system past it.
"""

import os
import time

SHIFT_SECONDS = float(os.environ.get("SHIFTED_CLOCK_SECONDS", "0"))

if SHIFT_SECONDS:
    _time, _time_ns = time.time, time.time_ns

    def _shifted_time() -> float:
        return _time() + SHIFT_SECONDS

    def _shifted_time_ns() -> int:
        return _time_ns() + int(SHIFT_SECONDS * 1e9)

    time.time, time.time_ns = _shifted_time, _shifted_time_ns
