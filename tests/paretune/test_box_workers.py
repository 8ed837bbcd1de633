"""A worker for each GPU, with one command: started, killed one by one, stopped together."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from paretune import commands
from paretune.box_workers import StoresUnknown, box_workers
from paretune.child_process import Child
from paretune.cli import app
from paretune.restarts import Supervised, restart_what_died, stop_together
from paretune.store_addresses import SecretUnreadable
from tests.paretune.test_local import until


def child(name: str, script: str, *, folder: Path, stop_seconds: float = 10.0) -> Child:
    command = [sys.executable, "-c", script]
    return Child(name, command, log=folder / f"{name}.log", stop_seconds=stop_seconds)


@contextmanager
def box(folder: Path, **environment: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """`paretune workers` as a container runs it; gives it and the file of what it prints."""
    output = folder / "output"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "paretune.cli", "workers"],
            stdout=file,
            stderr=subprocess.STDOUT,
            env=os.environ | environment,
        )
    try:
        yield process, output
    finally:
        process.kill()
        process.wait()


def test_without_stores_it_says_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, and not in the logs of workers that die again and again; likewise an unreadable password."""
    for name in ("DATABASE_URL", "BROKER_URL"):
        monkeypatch.delenv(name, raising=False)
    error = CliRunner().invoke(app, ["workers"]).exception
    assert isinstance(error, StoresUnknown)
    assert "set DATABASE_URL, BROKER_URL. " in str(error)
    monkeypatch.setenv("DATABASE_URL", "postgresql+psycopg://postgres@db.internal/postgres")
    monkeypatch.setenv("BROKER_URL", "redis://db.internal:6379/0")
    monkeypatch.setenv("DATABASE_PASSWORD_FILE", str(tmp_path / "none"))
    assert isinstance(CliRunner().invoke(app, ["workers"]).exception, SecretUnreadable)


def test_each_worker_sees_one_gpu_and_has_a_name_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the command of `paretune up`, and a file of its own to show that it lives."""
    monkeypatch.setenv("PARETUNE_ALIVE_FILE", str(tmp_path / "alive"))
    workers = box_workers("trials-17", ["2", "GPU-5d5b"])
    assert [tuple(worker.command[1:]) for worker in workers] == [
        commands.trial_worker("trials-17-0"), commands.trial_worker("trials-17-1"),
    ]  # fmt: skip
    seen = [
        (worker.environment["CUDA_VISIBLE_DEVICES"], worker.environment["PARETUNE_DEVICE"])
        for worker in workers
    ]
    assert seen == [("2", "cuda"), ("GPU-5d5b", "cuda")]
    files = [Path(worker.environment["PARETUNE_ALIVE_FILE"]) for worker in workers]
    assert sorted(tmp_path.iterdir()) == files


def test_without_gpus_there_is_one_worker_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is hidden from it, and nothing is asked of it."""
    monkeypatch.delenv("PARETUNE_ALIVE_FILE", raising=False)
    (worker,) = box_workers("trials", [])
    assert not {"CUDA_VISIBLE_DEVICES", "PARETUNE_DEVICE"} & {*worker.environment}


def test_the_pause_before_a_restart_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What dies at once is started less and less often, what lived for a while soon again."""
    now = 100.0
    monkeypatch.setattr("paretune.restarts.time.monotonic", lambda: now)
    dead = Supervised(child("dead", "", folder=tmp_path), started_at=now)
    said: list[str] = []
    for _ in range(8):
        restart_what_died([dead], say=said.append)
        assert dead.start_again_at is not None
        now = dead.start_again_at
        restart_what_died([dead], say=said.append)
        dead.child.stop()
    pauses = [float(re.findall(r"in ([\d.]+) s", line)[0]) for line in said]
    assert pauses == [0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0, 10.0]
    now += 60
    restart_what_died([dead], say=said.append)
    assert "in 0.2 s" in said[-1]


def test_all_are_asked_before_any_is_waited_for(tmp_path: Path) -> None:
    """One that does not end is killed in its time, and the others have not waited for it."""
    deaf = child(
        "deaf",
        "import signal; signal.signal(15, signal.SIG_IGN); print('up', flush=True); signal.pause()",
        folder=tmp_path,
        stop_seconds=2.0,
    )
    good = child(
        "good",
        "import signal, sys, time; "
        "signal.signal(15, lambda *_: (print(time.time(), flush=True), sys.exit())); "
        "print('up', flush=True); signal.pause()",
        folder=tmp_path,
    )
    for one in (deaf, good):
        one.start()
    until(lambda: "up" in deaf.output() and "up" in good.output())
    stop_together([deaf, good])
    ended = time.time()
    assert not deaf.is_running()
    assert not good.is_running()
    assert float(good.output().split()[1]) < ended - 1.0


@pytest.mark.slow
@pytest.mark.usefixtures("service_environment")
def test_a_box_starts_loses_one_worker_and_stops(tmp_path: Path) -> None:
    """Real workers, on GPUs that are named and not there: one that is killed comes back, the other stays."""
    with box(tmp_path, CUDA_VISIBLE_DEVICES="0,1", PARETUNE_ALIVE_FILE=str(tmp_path / "alive")) as (
        process,
        output,
    ):
        until(lambda: output.read_text().count(" ready.") == 2)
        first, second = sorted(psutil.Process(process.pid).children(), key=lambda item: item.cmdline()[-1])
        assert {item.environ()["CUDA_VISIBLE_DEVICES"] for item in (first, second)} == {"0", "1"}
        first.kill()
        until(lambda: output.read_text().count(" ready.") == 3)
        below = psutil.Process(process.pid).children(recursive=True)
        assert second in below
        assert first not in below
        process.send_signal(signal.SIGQUIT)
        assert process.wait(60) == 0
        # What a worker had started ends when it sees that its parent has; on a busy machine a moment later.
        _, left = psutil.wait_procs(below, timeout=30)
        assert left == []
    said = [line for line in output.read_text().splitlines() if line.startswith(("trials-", "Stopping"))]
    assert said[:2] == ["trials-0 on GPU 0", "trials-1 on GPU 1"]
    assert said[2].startswith("trials-0 ended; starting it again in")
    assert said[3:] == ["Stopping; trials that run are given back."]
