"""A command that started its own server keeps it alive while it waits, and stops it in good order."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import psutil
import pytest
import yaml

from paretune.child_process import Child
from paretune.client import Client
from paretune.local import Stack, _answers
from paretune.supervision import supervised
from tests.paretune.client.studies import DOCUMENT
from tests.paretune.test_local import until


def child(name: str, command: list[str], *, log: Path) -> Child:
    return Child(name=name, command=command, log=log / f"{name}.log")


def stack_of(*children: Child, state_dir: Path) -> Stack:
    stack = Stack(state_dir=state_dir, url="", api_key="", environment={}, say=lambda _: None)
    for item in children:
        stack.start(item)
    return stack


def test_what_dies_is_started_again_while_the_block_does_something_else(tmp_path: Path) -> None:
    """Nobody inside has to call anything; at the end all of it has been asked to end, not killed."""
    asked = "import signal, sys; signal.signal(15, lambda *_: (print('asked', flush=True), sys.exit())); "
    command = [sys.executable, "-c", f"{asked}print('up', flush=True); signal.pause()"]
    one = child("one", command, log=tmp_path)
    with supervised(stack_of(one, state_dir=tmp_path)):
        until(lambda: one.log.read_text() == "up\n")
        before = one.pid
        assert before is not None
        os.kill(before, signal.SIGKILL)
        until(lambda: one.pid != before and one.log.read_text() == "up\n")
    assert not one.is_running()
    assert one.log.read_text() == "up\nasked\n"


def lose_for_good(gone: Child, *, program: Path, stack: Stack) -> None:
    with supervised(stack) as check:

        def checked() -> bool:
            check()
            return False

        program.unlink()
        assert gone.pid is not None
        os.kill(gone.pid, signal.SIGKILL)
        with pytest.raises(FileNotFoundError):
            until(checked)


def test_an_error_of_supervision_reaches_the_block_and_the_caller(tmp_path: Path) -> None:
    """A program that is gone cannot be started again: that is said at once, and the rest is stopped."""
    program = tmp_path / "program"
    program.symlink_to("/bin/sleep")
    gone = child("gone", [str(program), "60"], log=tmp_path)
    other = child("other", ["/bin/sleep", "60"], log=tmp_path)
    stack = stack_of(gone, other, state_dir=tmp_path)
    with pytest.raises(FileNotFoundError):
        lose_for_good(gone, program=program, stack=stack)
    assert not other.is_running()


@contextmanager
def running(study: dict[str, object], state_dir: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`paretune run` as a person runs it, once the study is known; gives it and the study's id."""
    file = state_dir.parent / "study.yaml"
    file.write_text(yaml.safe_dump(study))
    process = subprocess.Popen(
        [sys.executable, "-m", "paretune.cli", "run", str(file), "--state-dir", str(state_dir),
         "--trial-workers", "1", "--output", str(state_dir.parent / "results")],
        stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        yield process, _study_id(process.stdout)
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _study_id(lines: IO[str]) -> str:
    return next(line.split()[1].rstrip(":") for line in lines if line.startswith("Study std_"))


@pytest.mark.chaos
def test_a_run_survives_the_death_of_its_own_server(
    state_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kill -9 of its parts while the command follows the study: each comes back, and the study ends."""
    for name in ("DATABASE_URL", "BROKER_URL", "PARETUNE_ARTIFACTS_URL", "PARETUNE_URL"):
        monkeypatch.delenv(name, raising=False)
    state_dir = state_root / "state"
    with running({**DOCUMENT, "budget": {"trials": 2}}, state_dir) as (process, study_id):
        below = psutil.Process(process.pid).children()
        url, key = (state_dir / "url").read_text(), (state_dir / "api_key").read_text()
        named = [(item, " ".join(item.cmdline())) for item in below]
        for word in ("uvicorn", "postgres"):
            (killed,) = (item for item, command in named if word in command)
            os.kill(killed.pid, signal.SIGKILL)
            until(lambda: not killed.is_running() and _answers(f"{url}/readyz"))  # noqa: B023
        with Client(url, api_key=key) as client:
            for trial in client.study(study_id).open_trials():
                with trial:
                    trial.complete(cost=1.0, gain=1.0)
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0, output
        assert "mine: SUCCEEDED" in output
        assert not any(item.is_running() for item in below)
