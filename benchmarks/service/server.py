"""The server under measurement, from the parts that `paretune up` starts, without workers."""

import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from paretune import commands
from paretune.child_process import Child, python_child
from paretune.embedded_postgres import embedded_postgres, free_port
from paretune.embedded_valkey import embedded_valkey

API_KEY = "ptk_key_of_the_benchmark_and_of_nobody_else"
READY_SECONDS = 60.0


@dataclass(frozen=True)
class Server:
    """Where it answers, its API process, and the environment that its own processes have."""

    url: str
    api_pid: int
    environment: dict[str, str]


@contextmanager
def running_server(folder: Path) -> Iterator[Server]:
    """Run PostgreSQL, Valkey and one API process for the length of a block."""
    with embedded_postgres(folder / "postgres") as database_url, embedded_valkey(folder / "valkey") as broker:
        environment = {
            "DATABASE_URL": database_url,
            "BROKER_URL": broker,
            "PARETUNE_ARTIFACTS_DIR": str(folder / "artifacts"),
            "PARETUNE_DATA_DIR": str(folder / "data"),
            "PARETUNE_API_KEY": API_KEY,
        }
        for name in ("artifacts", "data"):
            (folder / name).mkdir()
        _migrate(folder, environment)
        port = free_port()
        api = python_child(
            "api",
            commands.api("127.0.0.1", port),
            log=folder / "api.log",
            environment=_with_path(environment),
        )
        api.start()
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_until_ready(api, url)
            assert api.pid is not None
            yield Server(url=url, api_pid=api.pid, environment=environment)
        finally:
            api.stop()


def _migrate(folder: Path, environment: dict[str, str]) -> None:
    child = python_child(
        "migrate", commands.MIGRATE, log=folder / "migrate.log", environment=_with_path(environment)
    )
    child.start()
    assert child.process is not None
    if child.process.wait(READY_SECONDS):
        child.check()


def _with_path(environment: dict[str, str]) -> dict[str, str]:
    # Children start in /, and shall run the tree that is measured.
    return {**environment, "PYTHONPATH": os.pathsep.join([str(Path.cwd()), os.environ.get("PYTHONPATH", "")])}


def _wait_until_ready(api: Child, url: str) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while True:
        api.check()
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=2):  # noqa: S310  our own address
                return
        except (urllib.error.URLError, OSError):
            assert time.monotonic() < deadline, f"The API does not answer. See {api.log}."
            time.sleep(0.05)
