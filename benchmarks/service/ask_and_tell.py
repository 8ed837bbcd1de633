"""Custom studies: how long a runner takes from one suggestion to the next, and what four runners gain.

The objective takes 10 ms, so that the service is what is measured; then, for the gain, a second.

The whole server as `paretune up` starts it, with a study worker and no trial worker. Runners are threads of
this process that speak HTTP; a study has as much parallelism as it has runners, and `ahead` 1. The modelled
studies begin with 100 past results.
"""

import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.service.load import Connection
from benchmarks.service.results import Measured
from paretune.local import Stack, running_stack

RUNNERS = (1, 4, 16)
TRIALS = {"random": 200, "paretune": 60}
OBSERVATIONS = {"random": 0, "paretune": 100}
AT_MOST_MS = {"random": 100.0, "paretune": 500.0}
OBJECTIVE_SECONDS = 0.01
SLOW_OBJECTIVE_SECONDS = 1.0
SLOW_TRIALS = 40
LEAST_GAIN = 3.0
"""Of four runners over one."""
WAIT_SECONDS = 20.0


def measure() -> Iterator[Measured]:
    """Run a study with each proposer and number of runners."""
    with tempfile.TemporaryDirectory(prefix="paretune-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        with running_stack(Path(folder) / "state", trial_workers=0, say=lambda _: None) as stack:
            _run(stack, "paretune", runners=1, trials=4)  # the first one loads torch
            for proposer, trials in TRIALS.items():
                for runners in RUNNERS:
                    yield _measured(stack, proposer, runners=runners, trials=trials)
                yield _gain(stack, proposer, trials=SLOW_TRIALS)


def _measured(stack: Stack, proposer: str, *, runners: int, trials: int) -> Measured:
    before = _cpu_seconds(stack)
    began = time.perf_counter()
    cycles = _run(stack, proposer, runners=runners, trials=trials)
    seconds = time.perf_counter() - began
    spent = {name: used - before[name] for name, used in _cpu_seconds(stack).items()}
    return Measured(
        f"{trials} trials, proposer {proposer}, {runners} runner{'s' if runners > 1 else ''}, "
        f"{OBSERVATIONS[proposer]} results before them",
        {
            "p50_ms": round(1000 * statistics.median(cycles), 1),
            "p99_ms": round(1000 * float(np.quantile(cycles, 0.99)), 1),
            "per_second": round(trials / seconds, 2),
            "api_cpu_ms": round(1000 * spent["api"] / trials, 1),
            "worker_cpu_ms": round(1000 * spent["study-worker"] / trials, 1),
            "database_cpu_ms": round(1000 * spent["postgres"] / trials, 1),
        },
        at_most={"p50_ms": AT_MOST_MS[proposer]} if runners == 1 else {},
    )


def _gain(stack: Stack, proposer: str, *, trials: int) -> Measured:
    rates = []
    for runners in (1, 4):
        began = time.perf_counter()
        _run(stack, proposer, runners=runners, trials=trials, objective_seconds=SLOW_OBJECTIVE_SECONDS)
        rates.append(trials / (time.perf_counter() - began))
    return Measured(
        f"{trials} trials of {SLOW_OBJECTIVE_SECONDS:g} s, proposer {proposer}, 4 runners and 1",
        {"per_second": round(rates[1], 2), "times_one_runner": round(rates[1] / rates[0], 2)},
        at_least={"times_one_runner": LEAST_GAIN},
    )


def _run(
    stack: Stack, proposer: str, *, runners: int, trials: int, objective_seconds: float = OBJECTIVE_SECONDS
) -> list[float]:
    """Return the seconds from each suggestion to the next, over all runners."""
    study_id = begun_study(stack, proposer, runners=runners, trials=trials)
    run = partial(run_trials, stack, study_id, objective_seconds=objective_seconds)
    with ThreadPoolExecutor(runners) as pool:
        return [seconds for part in pool.map(run, range(runners)) for seconds in part]


def begun_study(stack: Stack, proposer: str, *, runners: int, trials: int) -> str:
    """Create a study, with past results where its proposer models them; return its id."""
    connection = Connection(stack.url, api_key=stack.api_key)
    study_id = connection.send("POST", "/v1/studies", body=_study(proposer, runners, trials)).json()["id"]
    if OBSERVATIONS[proposer]:
        chance = random.Random(0)  # noqa: S311  no secret
        observations = [_observed(chance) for _ in range(OBSERVATIONS[proposer])]
        path = f"/v1/studies/{study_id}/trials:import"
        assert connection.send("POST", path, body={"observations": observations}).status == 200
    resumed = connection.send("POST", f"/v1/studies/{study_id}:resume", body={})
    assert resumed.status == 200, resumed.body
    return str(study_id)


def run_trials(
    stack: Stack, study_id: str, number: int, *, objective_seconds: float = OBJECTIVE_SECONDS
) -> list[float]:
    """Run trials of a study until it has ended; return the seconds from each suggestion to the next."""
    connection = Connection(stack.url, api_key=stack.api_key)
    path = f"/v1/studies/{study_id}/trials"
    asked = {"worker_id": f"runner-{number}", "wait_seconds": WAIT_SECONDS}
    cycles: list[float] = []
    last: float | None = None
    while True:
        answer = connection.send("POST", f"{path}:suggest", body=asked).json()
        now = time.perf_counter()
        if not answer["trials"]:
            if answer["study_state"] == "SUCCEEDED":
                return cycles
            continue
        if last is not None:
            cycles.append(now - last)
        last = now
        (trial,) = answer["trials"]
        time.sleep(objective_seconds)
        told = {
            "attempt": trial["attempt"],
            "state": "SUCCEEDED",
            "metrics": _metrics(trial["parameters"]),
        }
        ended = connection.send("POST", f"{path}/{trial['trial_id']}:complete", body=told)
        assert ended.status == 200, ended.body


def _study(proposer: str, runners: int, trials: int) -> dict[str, Any]:
    names = ("x", "y", "z")
    return {
        "kind": "custom",
        "state": "PAUSED",
        "display_name": f"{proposer}, {runners}",
        "search_space": {
            "parameters": [{"type": "float", "name": name, "low": 0.0, "high": 1.0} for name in names]
        },
        "objectives": [
            {"metric": "error", "direction": "minimize", "reference": 2.0},
            {"metric": "cost", "direction": "minimize", "reference": 2.0},
        ],
        "budget": {"trials": trials},
        "parallelism": runners,
        "proposals": {"proposer": proposer, "ahead": 1},
    }


def _observed(chance: random.Random) -> dict[str, Any]:
    parameters = {name: chance.random() for name in ("x", "y", "z")}
    return {"parameters": parameters, "metrics": _metrics(parameters)}


def _metrics(parameters: dict[str, float]) -> dict[str, float]:
    x, y, z = (parameters[name] for name in ("x", "y", "z"))
    return {"error": (x - 0.3) ** 2 + (y - 0.7) ** 2 + 0.1 * z, "cost": x + 0.5 * (1 - z) ** 2}


def _cpu_seconds(stack: Stack) -> dict[str, float]:
    """Add up what each process has used with its children, those that have ended among them."""
    found: dict[str, float] = {}
    for item in stack.supervised:
        assert item.child.pid is not None
        process = psutil.Process(item.child.pid)
        used = [part.cpu_times() for part in (process, *process.children(recursive=True))]
        own = process.cpu_times()
        ended = own.children_user + own.children_system
        found[item.child.name] = sum(times.user + times.system for times in used) + ended
    return found
