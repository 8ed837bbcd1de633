"""Reading a study of 500 trials and its front from many connections while three results a second come."""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from api_schemas.search_space import SearchSpace
from api_schemas.studies import StudyState
from benchmarks.service.context import Context
from benchmarks.service.filling import PEFT_STUDY, add_study, drawn
from benchmarks.service.load import CONNECTIONS, wrk
from benchmarks.service.results import Measured

TRIALS = 500
PAUSE_SECONDS = 1 / 3
PER_SECOND = 400.0


def measure(context: Context) -> Iterator[Measured]:
    """Load both URLs while the study changes."""
    study_id = add_study(PEFT_STUDY, ended=TRIALS, state=StudyState.ACTIVE)
    key = {"Authorization": f"Bearer {context.api_key}"}
    for name, path in (
        ("study", f"/v1/studies/{study_id}"),
        ("front", f"/v1/studies/{study_id}/pareto_front"),
    ):
        with _importing(context, study_id, seed=len(name + path)) as changes:
            figures = wrk(context.url + path, key, seconds=context.seconds)
        yield Measured(
            f"{name} of {TRIALS} trials, read while it changes (200), {CONNECTIONS} connections",
            {**figures, "changes_per_second": round(len(changes) / context.seconds, 1)},
            at_least={"per_second": PER_SECOND},
        )


@contextmanager
def _importing(context: Context, study_id: str, *, seed: int) -> Iterator[list[int]]:
    """Import one result after the other for the length of a block; give a list that grows with each."""
    connection = context.connect()
    space = SearchSpace.model_validate(
        connection.send("GET", f"/v1/studies/{study_id}").json()["search_space"]
    )
    rng = random.Random(seed)  # noqa: S311  a benchmark, not a secret
    changes: list[int] = []
    over = threading.Event()

    def change() -> None:
        while not over.wait(PAUSE_SECONDS):
            metrics = {"score": rng.random(), "latency_ms": 1 + rng.random()}
            body = {"observations": [{"parameters": drawn(space, rng), "metrics": metrics}]}
            answer = connection.send("POST", f"/v1/studies/{study_id}/trials:import", body=body)
            assert answer.status == 200, answer.body
            changes.append(answer.json()["imported"])

    thread = threading.Thread(target=change)
    thread.start()
    try:
        yield changes
    finally:
        over.set()
        thread.join()
