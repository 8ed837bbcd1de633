"""How fast 64 claimers empty a queue of 10,000 trials through `trials.leases.claim`; none is claimed twice.

The claimers are threads of four processes, each with a database connection of its own.
"""

import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier

from sqlalchemy import func, select

from api_schemas.studies import StudyState
from api_schemas.trials import TrialState
from benchmarks.service.context import Context
from benchmarks.service.filling import PEFT_STUDY, add_study
from benchmarks.service.results import Measured
from service.runtime.process_lifetime import die_with_parent
from service.storage import queries
from service.storage.database import transaction
from service.storage.models import Replicate
from service.studies import steering
from service.trials import leases

TRIALS = 10_000
PROCESSES = 4
CLAIMERS = 64
STUDIES = 100


def measure(_: Context) -> Iterator[Measured]:
    """Empty the queue."""
    each = TRIALS // STUDIES
    ids = [
        add_study(PEFT_STUDY, ended=0, queued=each, parallelism=each, state=StudyState.ACTIVE)
        for _ in range(STUDIES)
    ]
    claimed, seconds = _emptied()
    assert len(claimed) == len(set(claimed)) == TRIALS, "a trial was claimed twice, or never"
    _check(ids)
    _end(ids)
    yield Measured(
        f"{TRIALS:,} queued trials in {STUDIES} studies, {CLAIMERS} claimers, none claimed twice",
        {"per_second": round(TRIALS / seconds, 1), "seconds": round(seconds, 2)},
    )


def _emptied() -> tuple[list[str], float]:
    spawning = get_context("spawn")
    with (
        spawning.Manager() as manager,
        ProcessPoolExecutor(PROCESSES, mp_context=spawning, initializer=die_with_parent) as processes,
    ):
        barrier = manager.Barrier(PROCESSES + 1)
        running = [processes.submit(_claim_all, barrier, number) for number in range(PROCESSES)]  # type: ignore[arg-type]
        barrier.wait()
        began = time.perf_counter()
        found = [trial_id for future in running for trial_id in future.result()]
        return found, time.perf_counter() - began


def _claim_all(barrier: Barrier, process: int) -> list[str]:
    threads = CLAIMERS // PROCESSES
    with ThreadPoolExecutor(threads) as pool:
        # Connections are there before the clock starts, as they are in a worker.
        list(pool.map(_connect, range(threads)))
        barrier.wait()
        found = pool.map(_claim_until_empty, [f"claimer-{process}-{thread}" for thread in range(threads)])
        return [trial_id for claimed in found for trial_id in claimed]


def _connect(_: int) -> None:
    with transaction() as session:
        session.execute(select(func.pg_sleep(0.05)))


def _claim_until_empty(worker: str) -> list[str]:
    taken: list[str] = []
    while (claimed := leases.claim(worker)) is not None:
        taken.append(claimed.trial_id)
    return taken


def _check(ids: list[str]) -> None:
    with transaction() as session:
        states = session.execute(
            select(Replicate.state, Replicate.attempt, func.count())
            .where(Replicate.study_id.in_(ids))
            .group_by(Replicate.state, Replicate.attempt)
        ).all()
    assert [tuple(row) for row in states] == [(TrialState.RUNNING, 1, TRIALS)]


def _end(ids: list[str]) -> None:
    # Leases that expire would keep the server busy beside what is measured next.
    for study_id in ids:
        with transaction() as session:
            study = queries.lock_study(session, study_id)
            assert study is not None
            steering.cancel(session, study)
            for replicate in queries.replicates_in(session, study_id, [TrialState.RUNNING]):
                replicate.state, replicate.lease_expires_at = TrialState.CANCELLED, None
