"""The whole server on one machine: PostgreSQL, Valkey, workers and API as children of one supervisor.

Starts them in order, restarts what dies, stops them in reverse, and takes everything with it however
it ends. `DATABASE_URL` and `BROKER_URL` replace the embedded servers. Everything lives in one state
directory, and the next start goes on from there.
"""

import os
import secrets
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from paretune import commands, store_addresses
from paretune.child_process import Child, python_child
from paretune.embedded_postgres import EmbeddedPostgres, free_port, write_secret
from paretune.embedded_valkey import EmbeddedValkey
from paretune.errors import ParetuneError
from paretune.room import room_for_a_start

READY_SECONDS = 120.0
PROBE_BYTES = 2**16
"""What a directory must take to be called writable: a full disk still takes an empty file."""
SUPERVISION_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 10.0
QUICK_DEATH_SECONDS = 10.0
DATABASE_URL_FILE = "database_url"
"""Where, in the state directory, the operator's commands find the database of the running server."""
Say = Callable[[str], None]


class PortTaken(ParetuneError):
    """Another process listens on the port."""


class StateDirectoryInUse(ParetuneError):
    """Another server runs on the state directory."""


class StateDirectoryNotWritable(ParetuneError):
    """The state directory cannot be created or written."""


class NotReadyInTime(ParetuneError):
    """The server started but does not answer."""


@dataclass
class Supervised:
    """A child process, with the state that its restarts need."""

    child: Child
    restarts_in_a_row: int = 0
    started_at: float = 0.0
    start_again_at: float | None = None


@dataclass
class Stack:
    """A running server. `url` is its address, `api_key` a key that it accepts."""

    state_dir: Path
    url: str
    api_key: str
    environment: dict[str, str]
    say: Say
    supervised: list[Supervised] = field(default_factory=list)

    def start(self, child: Child) -> None:
        """Start a child and look after it from now on."""
        child.start()
        self.adopt(child)

    def adopt(self, child: Child) -> None:
        """Look after a child that runs already."""
        self.supervised.append(Supervised(child, started_at=time.monotonic()))

    def supervise_once(self) -> None:
        """Restart what has died, after a pause that grows while it keeps dying. Call from one thread."""
        now = time.monotonic()
        for item in self.supervised:
            if item.child.is_running():
                continue
            if item.start_again_at is None:
                lived = now - item.started_at
                item.restarts_in_a_row = item.restarts_in_a_row + 1 if lived < QUICK_DEATH_SECONDS else 0
                pause = min(0.2 * 2**item.restarts_in_a_row, LONGEST_PAUSE_SECONDS)
                item.start_again_at = now + pause
                self.say(
                    f"{item.child.name} ended; starting it again in {pause:.1f} s. Log: {item.child.log}"
                )
            elif now >= item.start_again_at:
                item.child.start()
                item.started_at, item.start_again_at = now, None

    def stop(self) -> None:
        """Stop everything in reverse order."""
        for item in reversed(self.supervised):
            item.child.stop()
        self.supervised.clear()


def default_state_dir() -> Path:
    """Return the usual place: /var/lib for root, the user's data directory for everybody else."""
    if os.geteuid() == 0:
        return Path("/var/lib/paretune")
    return Path(os.environ.get("XDG_DATA_HOME", Path.home() / ".local" / "share")) / "paretune"


def serve(
    state_dir: Path, *, trial_workers: int, host: str, port: int, say: Say, study_workers: int = 1
) -> None:
    """Run the server until SIGINT or SIGTERM.

    Raises:
        ParetuneError: If it cannot start; the message says what to do.
    """
    with running_stack(
        state_dir, trial_workers=trial_workers, study_workers=study_workers, say=say, host=host, port=port
    ) as stack:
        say(f"Dashboard: {stack.url}/#key={stack.api_key}")
        say(f"API key:   {stack.api_key}  (kept in {stack.state_dir / 'api_key'})")
        say("Ctrl-C stops the server; nothing is lost.")
        try:
            while True:
                stack.supervise_once()
                time.sleep(SUPERVISION_SECONDS)
        except KeyboardInterrupt:
            say("Stopping.")


@contextmanager
def running_stack(
    state_dir: Path,
    *,
    trial_workers: int,
    say: Say,
    study_workers: int = 1,
    host: str = "127.0.0.1",
    port: int | None = None,
) -> Iterator[Stack]:
    """Run the server for the length of a block.

    Raises:
        ParetuneError: If it cannot start; the message says what to do.
    """
    started = time.monotonic()
    state_dir = _writable(state_dir.absolute())
    chosen = _free(host, port)
    with _locked(state_dir), _interruptible():
        with room_for_a_start(state_dir):
            stack = Stack(
                state_dir=state_dir,
                url=f"http://{'127.0.0.1' if host in ('0.0.0.0', '::') else host}:{chosen}",  # noqa: S104
                api_key=_kept_secret(state_dir / "api_key", prefix="ptk_"),
                environment=_places(state_dir),
                say=say,
            )
        try:
            with room_for_a_start(state_dir):
                _start_stores(stack)
                _migrate(stack)
                _start_service(
                    stack, trial_workers=trial_workers, study_workers=study_workers, host=host, port=chosen
                )
                (state_dir / "url").write_text(stack.url, encoding="ascii")
                write_secret(state_dir / DATABASE_URL_FILE, stack.environment["DATABASE_URL"])
            say(f"Paretune is ready at {stack.url} after {time.monotonic() - started:.1f} s.")
            yield stack
        finally:
            (state_dir / "url").unlink(missing_ok=True)
            (state_dir / DATABASE_URL_FILE).unlink(missing_ok=True)
            stack.stop()


def _places(state_dir: Path) -> dict[str, str]:
    """Return the folders that the processes below are to use, absolute, for those run elsewhere."""
    places = {
        "PARETUNE_ARTIFACTS_URL": _artifacts_url(state_dir),
        "PARETUNE_DATA_DIR": str(_data_dir(state_dir)),
    }
    models = os.environ.get("PARETUNE_MODELS_DIR")
    if models:
        places["PARETUNE_MODELS_DIR"] = str(Path(models).absolute())
    return places


def _artifacts_url(state_dir: Path) -> str:
    """Return where trained weights go: the user's own place, or one among the state."""
    own = os.environ.get("PARETUNE_ARTIFACTS_URL")
    if not own:
        return str(_private(state_dir / "artifacts"))
    return own if "://" in own else str(Path(own).absolute())


def _data_dir(state_dir: Path) -> Path:
    """Return the folder of task files: the user's own, or one among the state."""
    own = os.environ.get("PARETUNE_DATA_DIR")
    return Path(own).absolute() if own else _private(state_dir / "data")


def server_in_use(state_dir: Path) -> tuple[str, str] | None:
    """Return address and key of the server that runs on a state directory now, or None."""
    try:
        url = (state_dir / "url").read_text(encoding="ascii")
        key = (state_dir / "api_key").read_text(encoding="ascii")
    except OSError:
        return None
    return (url, key) if _answers(f"{url}/healthz") else None


def _start_stores(stack: Stack) -> None:
    logs = _private(stack.state_dir / "logs")
    database_url, broker_url = store_addresses.database_url(), store_addresses.broker_url()
    if database_url is None:
        postgres = EmbeddedPostgres(stack.state_dir / "postgres", log=logs / "postgres.log", port=free_port())
        stack.adopt(postgres.child)
        postgres.start()
        database_url = postgres.url
    if broker_url is None:
        valkey = EmbeddedValkey(
            stack.state_dir / "valkey",
            log=logs / "valkey.log",
            password=_kept_secret(stack.state_dir / "valkey_password"),
        )
        stack.adopt(valkey.child)
        valkey.start()
        broker_url = valkey.url
    stack.environment.update(DATABASE_URL=database_url, BROKER_URL=broker_url)
    # Both have their passwords by now.
    stack.environment.update(DATABASE_PASSWORD_FILE="", BROKER_PASSWORD_FILE="", PARETUNE_API_KEY_FILE="")


def _migrate(stack: Stack) -> None:
    child = python_child(
        "migrate",
        commands.MIGRATE,
        log=stack.state_dir / "logs" / "migrate.log",
        environment={**stack.environment, "PARETUNE_API_KEY": stack.api_key},
    )
    child.start()
    assert child.process is not None  # noqa: S101  just started
    if child.process.wait(READY_SECONDS):
        child.check()


def _start_service(stack: Stack, *, trial_workers: int, study_workers: int, host: str, port: int) -> None:
    logs = stack.state_dir / "logs"
    # One thread each: on a machine without a GPU, cores are shared out as processes.
    worker_environment = {**stack.environment, "OMP_NUM_THREADS": "1"}
    workers = [
        python_child(
            name,
            arguments,
            log=logs / f"{name}.log",
            environment=worker_environment,
            stop_signal=signal.SIGQUIT,
        )
        for name, arguments in [
            ("study-worker", commands.study_worker("studies-0")),
            *((f"study-worker-{n}", commands.study_worker(f"studies-{n}")) for n in range(1, study_workers)),
            *((f"trial-worker-{n}", commands.trial_worker(f"trials-{n}")) for n in range(trial_workers)),
        ]
    ]
    api = python_child("api", commands.api(host, port), log=logs / "api.log", environment=stack.environment)
    for child in (*workers, api):
        stack.start(child)
    _wait_until_ready(stack, workers, api)


def _wait_until_ready(stack: Stack, workers: list[Child], api: Child) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not (
        _answers(f"{stack.url}/readyz")
        # A study worker that is still loading torch has its wake-ups wait for it.
        and all(
            " ready." in child.log.read_text(encoding="utf-8", errors="replace")
            for child in workers
            if child.name.startswith("trial-worker")
        )
    ):
        for child in (*workers, api):
            child.check()
        if time.monotonic() > deadline:
            raise NotReadyInTime(
                f"The server does not answer at {stack.url}. Look into {stack.state_dir / 'logs'}."
            )
        time.sleep(0.05)


def _writable(state_dir: Path) -> Path:
    try:
        if not state_dir.exists():
            state_dir.mkdir(parents=True)
            # As root the database runs as another user, which must be able to pass through, not to look.
            state_dir.chmod(0o711 if os.geteuid() == 0 else 0o700)
        probe = state_dir / ".writable"
        probe.write_bytes(bytes(PROBE_BYTES))
        probe.unlink()
    except OSError as error:
        raise StateDirectoryNotWritable(
            f"Cannot write {state_dir} ({error.strerror}). Choose another --state-dir."
        ) from error
    return state_dir


def _free(host: str, port: int | None) -> int:
    try:
        with socket.create_server((host, port or 0), reuse_port=False) as listener:
            return int(listener.getsockname()[1])
    except OSError as error:
        raise PortTaken(
            f"Cannot listen on {host}:{port} ({error.strerror}). "
            "Choose another --port, or stop what runs there."
        ) from error


@contextmanager
def _locked(state_dir: Path) -> Iterator[None]:
    lock = FileLock(state_dir / "lock", mode=0o600)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise StateDirectoryInUse(
            f"Another server runs on {state_dir}. Use it, stop it, or choose another --state-dir."
        ) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGINT and SIGTERM alike end the block in good order.

    SIGINT is named too, because a shell that starts a process in the background has it ignored.
    """

    def interrupt(_signal: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _kept_secret(path: Path, *, prefix: str = "") -> str:
    # Empty is what a full disk may have left of one.
    if not path.exists() or not path.stat().st_size:
        write_secret(path, prefix + secrets.token_urlsafe(32))
    return path.read_text(encoding="ascii")


def _private(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    folder.chmod(0o700)
    return folder


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310  our own loopback address
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
