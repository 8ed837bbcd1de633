"""What the server costs around the trials: `python -m benchmarks.overheads`.

Starts the whole server twice on a temporary state directory (the second start is the warm one), runs
short real trials on one worker, and reads from the event log how long the worker stood idle between
the end of one trial and the start of the next, with and without time in which nothing was proposed yet.
"""

import argparse
import os
import statistics
import tempfile
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import psutil
from sqlalchemy import create_engine, text

from api_schemas.studies import StudyCreate, StudyState
from paretune.client import Client
from paretune.local import Stack, running_stack


def main() -> None:
    """Print start-up seconds, the API's memory, turnaround and proposal seconds."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=24)
    arguments = parser.parse_args()
    for name in ("DATABASE_URL", "BROKER_URL"):
        os.environ.pop(name, None)
    with tempfile.TemporaryDirectory(prefix="paretune-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        for start in ("cold", "warm"):
            began = time.perf_counter()
            with running_stack(Path(folder) / "state", trial_workers=1, say=lambda _: None) as stack:
                print(f"{start} start to ready: {time.perf_counter() - began:.1f} s")
                if start == "warm":
                    run_trials(stack, arguments.trials)
                    print(f"API process: {api_megabytes(stack):.0f} MB resident")


def run_trials(stack: Stack, trials: int) -> None:
    """Run a study of short trials and print what its event log says."""
    study_id, modelled = ended_study(stack, trials)
    found = turnarounds(stack, study_id)
    for what, seconds in (
        ("not counting the wait for a proposal", [item.idle_seconds for item in found]),
        ("all in all", [item.seconds for item in found]),
    ):
        print(
            f"end of a trial to start of the next, {what}: "
            f"median {1000 * statistics.median(seconds):.0f} ms, max {1000 * max(seconds):.0f} ms "
            f"over {len(seconds)} trials"
        )
    if modelled:
        print(
            f"seconds per modelled proposal while trials run: median {statistics.median(modelled):.2f}, "
            f"last {modelled[-1]:.2f} at {trials - 1} observations"
        )


def ended_study(stack: Stack, trials: int) -> tuple[str, list[float]]:
    """Run a study of short trials; give its id, and the seconds that each modelled proposal took."""
    study = StudyCreate.model_validate(
        {
            "display_name": "overheads",
            "configuration": {
                "backbone": "all-MiniLM-L6-v2",
                "task": {"name": "rotten-tomatoes", "train_rows": 64, "validation_rows": 32, "test_rows": 32},
                "training": {"epochs": 1, "max_length": 32},
            },
            "search_space": {"preset": "autopeft"},
            "objectives": [
                {"metric": "score", "direction": "maximize"},
                {"metric": "trainable_parameters", "direction": "minimize"},
            ],
            "budget": {"trials": trials},
        }
    )
    with Client(stack.url, api_key=stack.api_key) as client:
        study_id = client.create_study(study).id
        while client.get_study(study_id).state is not StudyState.SUCCEEDED:
            stack.supervise_once()
            time.sleep(0.5)
        ended = client.trials(study_id)
        return study_id, [trial.proposal_seconds for trial in ended if trial.generated_by == "qlognehvi"]


@dataclass(frozen=True)
class Turnaround:
    """From the end of a trial to the start of the next, and what of it one was already there to start."""

    seconds: float
    idle_seconds: float


def turnarounds(stack: Stack, study_id: str) -> list[Turnaround]:
    """Read how long the one worker stood still between its trials."""
    engine = create_engine(stack.environment["DATABASE_URL"])
    with engine.connect() as connection:
        rows = connection.execute(
            text(
                "SELECT extract(epoch FROM created_at), extract(epoch FROM started_at), "
                "extract(epoch FROM finished_at) FROM trials WHERE study_id = :study ORDER BY started_at"
            ),
            {"study": study_id},
        ).all()
    engine.dispose()
    return [
        Turnaround(
            seconds=float(after[1]) - float(before[2]),
            idle_seconds=float(after[1]) - max(float(before[2]), float(after[0])),
        )
        for before, after in pairwise(rows)
    ]


def api_megabytes(stack: Stack) -> float:
    """Read the resident size of the API process."""
    api = next(item.child for item in stack.supervised if item.child.name == "api")
    return psutil.Process(api.pid).memory_info().rss / 2**20


if __name__ == "__main__":
    main()
