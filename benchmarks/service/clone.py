"""A study of 5,000 past results: how long their import takes, and a clone that starts from them.

Meanwhile an owner pauses and resumes the source, one command after the other: nobody may wait for a clone.
"""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from api_schemas.search_space import SearchSpace
from benchmarks.service.context import Context
from benchmarks.service.filling import CUSTOM_STUDY, PEFT_STUDY, drawn
from benchmarks.service.load import Connection
from benchmarks.service.results import Measured

RESULTS = 5_000
BATCHES = (1_000, 200)
"""The most that a request may hold, and what the Optuna bridge sends in one."""
TARGET_SECONDS = 10.0
PAUSE_SECONDS = 1.0


def measure(context: Context) -> Iterator[Measured]:
    """Import into studies of both kinds, and clone them."""
    connection = context.connect()
    for kind, body in (("custom", CUSTOM_STUDY), ("peft", PEFT_STUDY)):
        for batch in BATCHES:
            source = _created(connection, body)
            observations = _observations(source, calculated=kind == "peft")
            began = time.perf_counter()
            _import(connection, source["id"], observations, batch=batch)
            yield _row(f"{kind}: imported, {batch:,} a request", time.perf_counter() - began)
        for what, edits in (("as it is", {}), ("with a narrower space", _narrower(source))):
            with _steered(context.connect(), source["id"]) as waits:
                began = time.perf_counter()
                clone = _cloned(connection, source["id"], edits)
                seconds = time.perf_counter() - began
            taken = clone["trials"]["imported"]
            assert taken == RESULTS or (edits and 0 < taken < RESULTS), taken
            yield _row(f"{kind}: cloned {what}, {taken:,} taken over", seconds, waits=waits)


def _created(connection: Connection, body: dict[str, Any]) -> Any:
    request = {**body, "display_name": "past results", "budget": {"trials": 10}, "state": "PAUSED"}
    return connection.send("POST", "/v1/studies", body=request).json()


def _observations(study: dict[str, Any], *, calculated: bool) -> list[dict[str, Any]]:
    rng = random.Random(0)  # noqa: S311  a benchmark, not a secret
    space = SearchSpace.model_validate(study["search_space"])
    points = {repr(point): point for point in (drawn(space, rng) for _ in range(2 * RESULTS))}
    known = {} if calculated else {"trainable_parameters": 1000.0}
    return [
        {"parameters": point, "metrics": {"score": rng.random(), "latency_ms": 1 + rng.random(), **known}}
        for point in list(points.values())[:RESULTS]
    ]


def _import(connection: Connection, study_id: str, observations: list[dict[str, Any]], *, batch: int) -> None:
    for start in range(0, len(observations), batch):
        body = {"observations": observations[start : start + batch]}
        answer = connection.send("POST", f"/v1/studies/{study_id}/trials:import", body=body)
        assert answer.json()["imported"] == len(body["observations"]), answer.body


def _narrower(study: dict[str, Any]) -> dict[str, Any]:
    parameters = [
        {**parameter, "high": (parameter["low"] + parameter["high"]) / 2}
        if parameter["name"].endswith("learning_rate")
        else parameter
        for parameter in study["search_space"]["parameters"]
    ]
    return {"search_space": {"parameters": parameters}}


def _cloned(connection: Connection, study_id: str, edits: dict[str, Any]) -> Any:
    body = {"edits": {"state": "PAUSED", **edits}, "import_trials": True}
    return connection.send("POST", f"/v1/studies/{study_id}:clone", body=body).json()


@contextmanager
def _steered(connection: Connection, study_id: str) -> Iterator[list[float]]:
    """Pause and resume a study for the length of a block; give how long each command took."""
    waits: list[float] = []
    over = threading.Event()

    def steer() -> None:
        while not over.wait(0.05):
            for verb in ("resume", "pause"):
                began = time.perf_counter()
                assert connection.send("POST", f"/v1/studies/{study_id}:{verb}").status == 200
                waits.append(time.perf_counter() - began)

    thread = threading.Thread(target=steer)
    thread.start()
    try:
        yield waits
    finally:
        over.set()
        thread.join()


def _row(what: str, seconds: float, *, waits: list[float] | None = None) -> Measured:
    figures, at_most = {"seconds": round(seconds, 2)}, {"seconds": TARGET_SECONDS}
    if waits:
        figures["longest_command_seconds"] = round(max(waits), 3)
        at_most["longest_command_seconds"] = PAUSE_SECONDS
    return Measured(f"{RESULTS:,} results, {what}", figures, at_most=at_most)
