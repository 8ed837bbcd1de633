"""The service as it is, but for what it knows of one task: portfolio and recorded trials are from the others.

The packages are copied, the two data files written anew, and the copy started as `paretune up` starts it.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.autopeft.protocol import TASKS
from benchmarks.peft_table.table import read_tables
from benchmarks.portfolio import portfolio, recorded, shipped
from paretune.client import Client
from paretune.embedded_postgres import free_port

ROOT = Path(__file__).parents[2]
PACKAGES = ("api_schemas", "service", "workers", "paretune", "migrations")
READY_SECONDS = 120.0


@contextmanager
def service_without(task: str, *, folder: Path, trial_workers: int) -> Iterator[Client]:
    """Run the service in a folder for the length of a block; a second time it finds its studies again."""
    tree, state = folder / "tree", folder / "state"
    copy_without(task, tree=tree)
    command = [
        sys.executable, "-m", "paretune.cli", "up",
        "--state-dir", str(state), "--trial-workers", str(trial_workers),
        "--port", str(free_port()),
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
    (state / "url").unlink(missing_ok=True)
    with (folder / "server.log").open("ab") as log:
        server = subprocess.Popen(command, cwd=tree, env=environment, stdout=log, stderr=log)
    try:
        with Client(_url(state, server), api_key=(state / "api_key").read_text().strip()) as client:
            yield client
    finally:
        server.terminate()
        server.wait()


def copy_without(task: str, *, tree: Path) -> None:
    """Copy the packages, with a portfolio and recorded trials that never saw a task."""
    shutil.rmtree(tree, ignore_errors=True)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tree / package, ignore=shutil.ignore_patterns("__pycache__"))
    tables = read_tables([one for one in TASKS if one != task])
    data = tree / "service" / "studies"
    (data / "portfolio.json").write_text(json.dumps(shipped(tables, portfolio(tables))))
    (data / "recorded_trials.json").write_text(recorded(tables))


def _url(state: Path, server: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + READY_SECONDS
    while not (state / "url").exists():
        if server.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("the server has not started: see server.log")
        time.sleep(0.2)
    return (state / "url").read_text(encoding="ascii").strip()
