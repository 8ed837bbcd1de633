"""Ten studies beside one that kills its study worker: how much later they end than without it.

The whole server as `paretune up` starts it, with one study worker and no trial worker. Each study has one
runner. The poison is a signal: the process that has the turn of the eleventh study is killed, until the study
is parked.
"""

import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import create_engine, text

from benchmarks.service.ask_and_tell import begun_study, run_trials
from benchmarks.service.results import Measured
from paretune.local import Stack, running_stack

STUDIES, TRIALS = 10, 100
PERCENT_LONGER = 20.0
LOOK_SECONDS = 0.02


def measure() -> Iterator[Measured]:
    """Run the ten alone, then beside the eleventh."""
    with tempfile.TemporaryDirectory(prefix="paretune-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        with running_stack(Path(folder) / "state", trial_workers=0, say=lambda _: None) as stack:
            _run_ten(stack, trials=2)  # the first loads torch
            alone = _run_ten(stack, trials=TRIALS)
            poison = begun_study(stack, "paretune", runners=4, trials=TRIALS)
            with _killing_workers_of(stack, poison) as killed:
                beside = _run_ten(stack, trials=TRIALS)
    yield Measured(
        f"{STUDIES} studies of {TRIALS} trials, beside one that kills its study worker",
        {
            "seconds": round(beside, 2),
            "seconds_alone": round(alone, 2),
            "percent_longer": round(100 * (beside / alone - 1), 1),
            "workers_killed": float(len(killed)),
        },
        at_most={"percent_longer": PERCENT_LONGER},
        at_least={"workers_killed": 1.0},
    )


def _run_ten(stack: Stack, *, trials: int) -> float:
    studies = [begun_study(stack, "random", runners=1, trials=trials) for _ in range(STUDIES)]
    began = time.perf_counter()
    with ThreadPoolExecutor(STUDIES) as pool:
        list(pool.map(lambda study_id: run_trials(stack, study_id, 0), studies))
    return time.perf_counter() - began


@contextmanager
def _killing_workers_of(stack: Stack, study_id: str) -> Iterator[list[int]]:
    """Kill the process that has the turn of a study, whenever there is one; give the processes."""
    killed: list[int] = []
    over = threading.Event()
    engine = create_engine(stack.environment["DATABASE_URL"], isolation_level="AUTOCOMMIT")
    holder = text("SELECT turn_holder FROM studies WHERE id = :study_id")

    def kill() -> None:
        with engine.connect() as connection:
            while not over.wait(LOOK_SECONDS):
                found = connection.scalar(holder, {"study_id": study_id})
                pid = int(found.split(":")[1]) if found else 0
                if pid and pid not in killed:
                    killed.append(pid)
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield killed
    finally:
        over.set()
        thread.join()
        engine.dispose()
