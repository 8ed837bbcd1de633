"""The supervisor, with real processes: it starts, heals, stops, and leaves nothing behind."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg
import pytest
from sqlalchemy import make_url
from typer.testing import CliRunner

from paretune.cli import app
from paretune.client import Client
from paretune.embedded_postgres import EmbeddedPostgres, OtherPostgresMajor, embedded_postgres, free_port
from paretune.local import _answers, _data_dir, _one_gpu, places, running_stack
from paretune.ports import PortTaken
from paretune.state_directory import StateDirectoryInUse, StateDirectoryNotWritable


@pytest.fixture(autouse=True)
def embedded_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The addresses that the rest of the suite sets would replace the embedded servers."""
    for name in ("DATABASE_URL", "BROKER_URL", "PARETUNE_ARTIFACTS_URL"):
        monkeypatch.delenv(name)


def silent(_: str) -> None:
    pass


def plain(url: str) -> str:
    return url.replace("+psycopg", "")


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


@contextmanager
def up(state_dir: Path) -> Iterator[tuple[subprocess.Popen[str], list[psutil.Process]]]:
    """`paretune up` as a person runs it; gives it and every process below it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "paretune.cli", "up", "--state-dir", str(state_dir),
         "--trial-workers", "1", "--port", str(free_port())],
        stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if "Ctrl-C" in line:
                break
        yield process, psutil.Process(process.pid).children(recursive=True)
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_task_files_lie_where_the_user_says_or_among_the_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative folder is made absolute: the processes below may run elsewhere."""
    monkeypatch.delenv("PARETUNE_DATA_DIR", raising=False)
    assert _data_dir(tmp_path) == tmp_path / "data"
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PARETUNE_DATA_DIR", "mine")
    assert _data_dir(tmp_path / "state") == tmp_path / "mine"


def test_folders_that_the_user_names_are_seen_from_where_the_command_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The processes below run elsewhere. A store that is no folder stays what it is."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PARETUNE_MODELS_DIR", raising=False)
    assert "PARETUNE_MODELS_DIR" not in places(tmp_path)
    assert places(tmp_path)["PARETUNE_ARTIFACTS_URL"] == str(tmp_path / "artifacts")
    monkeypatch.setenv("PARETUNE_MODELS_DIR", "models")
    monkeypatch.setenv("PARETUNE_ARTIFACTS_URL", "weights")
    assert places(tmp_path)["PARETUNE_MODELS_DIR"] == str(tmp_path / "models")
    assert places(tmp_path)["PARETUNE_ARTIFACTS_URL"] == str(tmp_path / "weights")
    monkeypatch.setenv("PARETUNE_ARTIFACTS_URL", "s3://bucket/prefix")
    assert places(tmp_path)["PARETUNE_ARTIFACTS_URL"] == "s3://bucket/prefix"


def test_workers_get_a_gpu_each_or_share_them() -> None:
    """In turn where there are more workers than GPUs; without one, nothing is hidden from them."""
    seen = [_one_gpu(["0", "GPU-5d5b"], number) for number in range(3)]
    assert [environment["CUDA_VISIBLE_DEVICES"] for environment in seen] == ["0", "GPU-5d5b", "0"]
    assert _one_gpu([], 0) == {}


def test_a_taken_port_is_named_before_anything_starts(state_root: Path) -> None:
    """The message says which port and what to do."""
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(PortTaken, match=f"{taken.getsockname()[1]}.*--port"),
        running_stack(state_root / "state", trial_workers=0, say=silent, port=taken.getsockname()[1]),
    ):
        pass
    assert not (state_root / "state" / "postgres").exists()


def test_a_state_directory_that_cannot_be_written_is_named(state_root: Path) -> None:
    """A file where the directory should be stops even root."""
    (state_root / "state").write_text("in the way")
    with (
        pytest.raises(StateDirectoryNotWritable, match="--state-dir"),
        running_stack(state_root / "state", trial_workers=0, say=silent),
    ):
        pass


def test_data_of_another_major_is_refused(state_root: Path) -> None:
    """PostgreSQL 17's files need a dump, and the message says so."""
    (state_root / "data").mkdir()
    (state_root / "data" / "PG_VERSION").write_text("17\n")
    with pytest.raises(OtherPostgresMajor, match="PostgreSQL 17"):
        EmbeddedPostgres(state_root, log=state_root / "log", port=free_port())


def test_postgres_keeps_its_rows_and_its_password(state_root: Path) -> None:
    """A second start finds what the first one stored; without the password nobody gets in."""
    with embedded_postgres(state_root) as url, psycopg.connect(plain(url)) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    with embedded_postgres(state_root) as url:
        with psycopg.connect(plain(url)) as connection:
            assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(re.sub(r"postgres:[^@]+@", "postgres:wrong@", plain(url)))


def test_nothing_is_readable_by_others(administrator: psycopg.Connection) -> None:
    """Data and secrets of the running server have no permission for group or others."""
    (data,) = administrator.execute("SHOW data_directory").fetchone() or ("",)
    assert Path(data).stat().st_mode & 0o077 == 0
    assert (Path(data).parent / "password").stat().st_mode & 0o077 == 0


@pytest.mark.slow
def test_addresses_in_the_environment_replace_the_embedded_servers(
    state_root: Path, database_url: str, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither PostgreSQL nor Valkey is started, logs are JSON, and a second server is refused meanwhile.

    The database's password comes from its file, named from where the server was started; its whole address is
    there for its operator, as long as the server runs.
    """
    place = make_url(database_url)
    (state_root / "password").write_text(f"{place.password}\n")
    monkeypatch.chdir(state_root)
    monkeypatch.setenv("DATABASE_PASSWORD_FILE", "password")
    without_password = place._replace(password=None).render_as_string(hide_password=False)
    monkeypatch.setenv("DATABASE_URL", without_password)
    monkeypatch.setenv("BROKER_URL", valkey_url)
    state = state_root / "state"
    with running_stack(state, trial_workers=0, study_workers=2, say=silent) as stack:
        names = [item.child.name for item in stack.supervised]
        assert names == ["study-worker", "study-worker-1", "api"]
        with Client(stack.url, api_key=stack.api_key) as client:
            assert list(client.studies()) == []
        with (
            pytest.raises(StateDirectoryInUse, match="--state-dir"),
            running_stack(state, trial_workers=0, say=silent),
        ):
            pass
        monkeypatch.delenv("DATABASE_URL")
        assert (state / "database_url").stat().st_mode & 0o077 == 0
        assert "first key" in CliRunner().invoke(app, ["keys", "list", "--state-dir", str(state)]).output
        logs = state / "logs"
        until(lambda: " ready." in (logs / "study-worker.log").read_text())
        for name, event in (("study-worker", " ready."), ("api", "Application startup complete.")):
            lines = (logs / f"{name}.log").read_text().splitlines()
            (line,) = (line for line in lines if event in line)
            assert json.loads(line)["level"] == "info"
        assert all(item.child.is_running() for item in stack.supervised)
    assert not (state / "database_url").exists()
    assert not (state / "postgres").exists()


@pytest.mark.chaos
def test_however_the_supervisor_ends_no_process_is_left(state_root: Path) -> None:
    """Kill -9 and SIGTERM alike (Ctrl-C: `test_interrupted_run`); the same state directory keeps its key."""
    keys = set()
    for signal_number in (signal.SIGKILL, signal.SIGTERM):
        with up(state_root / "state") as (process, below):
            names = {name for child in below for name in child.cmdline()[:1]}
            assert len(below) >= 6, names
            keys.add((state_root / "state" / "api_key").read_text())
            os.kill(process.pid, signal_number)
            process.wait(60)
            psutil.wait_procs(below, timeout=60)
            left = [child for child in below if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
            assert left == []
    assert len(keys) == 1


@pytest.mark.nightly
@pytest.mark.chaos
def test_what_dies_is_started_again(state_root: Path) -> None:
    """Every child, killed in turn, comes back, and the server is ready again."""
    with running_stack(state_root / "state", trial_workers=1, say=silent) as stack:
        for item in list(stack.supervised):
            before = item.child.pid
            assert before is not None
            os.kill(before, signal.SIGKILL)

            def back() -> bool:
                stack.supervise_once()
                return item.child.is_running() and item.child.pid != before  # noqa: B023

            until(back)

        def ready() -> bool:
            stack.supervise_once()
            return _answers(f"{stack.url}/readyz")

        until(ready)
