"""The whole server on one machine: PostgreSQL, Valkey, workers and API as children of one supervisor.

Starts them in order, restarts what dies, stops them in reverse, and takes everything with it however
it ends. `DATABASE_URL` and `BROKER_URL` replace the embedded servers. Everything lives in one state
directory, and the next start goes on from there.
"""

import os
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from paretune import commands, store_addresses
from paretune.child_process import Child, python_child
from paretune.console import working
from paretune.embedded_postgres import EmbeddedPostgres, free_port, write_secret
from paretune.embedded_valkey import EmbeddedValkey
from paretune.errors import ParetuneError
from paretune.gpus import visible_gpus
from paretune.interruption import interruptible
from paretune.ports import listening_port
from paretune.restarts import SUPERVISION_SECONDS, Supervised, restart_what_died
from paretune.room import room_for_a_start
from paretune.state_directory import check_not_newer, kept_secret, locked, private, record_version, writable

READY_SECONDS = 120.0
WORKERS_ON_A_CPU = 2
DATABASE_URL_FILE = "database_url"
"""Where, in the state directory, the operator's commands find the database of the running server."""
Say = Callable[[str], None]


def _silent(_: str) -> None:
    """Say nothing."""


class NotReadyInTime(ParetuneError):
    """The server started but does not answer."""


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
        restart_what_died(self.supervised, say=self.say)

    def stop(self) -> None:
        """Stop everything in reverse order."""
        for item in reversed(self.supervised):
            item.child.stop()
        self.supervised.clear()


def serve(
    state_dir: Path, *, trial_workers: int | None, host: str, port: int, say: Say, study_workers: int = 1
) -> None:
    """Run the server until SIGINT or SIGTERM. `trial_workers`: as for `running_stack`.

    Raises:
        ParetuneError: If it cannot start; the message says what to do.
    """
    with ExitStack() as exits:
        with working("Starting", in_lines=True) as step:
            stack = exits.enter_context(
                running_stack(
                    state_dir,
                    trial_workers=trial_workers,
                    study_workers=study_workers,
                    say=say,
                    host=host,
                    port=port,
                    step=step,
                )
            )
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
    trial_workers: int | None,
    say: Say,
    study_workers: int = 1,
    host: str = "127.0.0.1",
    port: int | None = None,
    step: Say = _silent,
) -> Iterator[Stack]:
    """Run the server for the length of a block; `step` is told what is going on until it is ready.

    Without `trial_workers` there is one for each visible GPU, or two on a CPU; a number shares the GPUs.

    Raises:
        ParetuneError: If it cannot start; the message says what to do.
    """
    started = time.monotonic()
    state_dir = writable(state_dir.absolute())
    check_not_newer(state_dir)
    chosen = listening_port(host, port)
    gpus = visible_gpus() if trial_workers != 0 else []
    number = (len(gpus) or WORKERS_ON_A_CPU) if trial_workers is None else trial_workers
    with locked(state_dir), interruptible():
        with room_for_a_start(state_dir):
            stack = Stack(
                state_dir=state_dir,
                url=f"http://{'127.0.0.1' if host in ('0.0.0.0', '::') else host}:{chosen}",  # noqa: S104
                api_key=kept_secret(state_dir / "api_key", prefix="ptk_"),
                environment=places(state_dir),
                say=say,
            )
        try:
            with room_for_a_start(state_dir):
                step("Starting the database and the queue")
                _start_stores(stack)
                step("Bringing the database to this version")
                _migrate(stack)
                record_version(state_dir)
                step("Starting the workers and the API")
                trial_environments = [_one_gpu(gpus, n) for n in range(number)]
                _start_service(stack, trial_environments, study_workers=study_workers, host=host, port=chosen)
                (state_dir / "url").write_text(stack.url, encoding="ascii")
                write_secret(state_dir / DATABASE_URL_FILE, stack.environment["DATABASE_URL"])
            if number and not gpus:
                say("No GPU is visible: trials train on the CPU.")
            say(f"Paretune is ready at {stack.url} after {time.monotonic() - started:.1f} s.")
            yield stack
        finally:
            (state_dir / "url").unlink(missing_ok=True)
            (state_dir / DATABASE_URL_FILE).unlink(missing_ok=True)
            stack.stop()


def places(state_dir: Path) -> dict[str, str]:
    """Return the folders that the processes of a server use, absolute, for those run elsewhere."""
    named = {
        "PARETUNE_ARTIFACTS_URL": _artifacts_url(state_dir),
        "PARETUNE_DATA_DIR": str(_data_dir(state_dir)),
    }
    models = os.environ.get("PARETUNE_MODELS_DIR")
    if models:
        named["PARETUNE_MODELS_DIR"] = str(Path(models).absolute())
    return named


def _artifacts_url(state_dir: Path) -> str:
    """Return where trained weights go: the user's own place, or one among the state."""
    own = os.environ.get("PARETUNE_ARTIFACTS_URL")
    if not own:
        return str(private(state_dir / "artifacts"))
    return own if "://" in own else str(Path(own).absolute())


def _data_dir(state_dir: Path) -> Path:
    """Return the folder of task files: the user's own, or one among the state."""
    own = os.environ.get("PARETUNE_DATA_DIR")
    return Path(own).absolute() if own else private(state_dir / "data")


def server_in_use(state_dir: Path) -> tuple[str, str] | None:
    """Return address and key of the server that runs on a state directory now, or None."""
    try:
        url = (state_dir / "url").read_text(encoding="ascii")
        key = (state_dir / "api_key").read_text(encoding="ascii")
    except OSError:
        return None
    return (url, key) if _answers(f"{url}/healthz") else None


def _start_stores(stack: Stack) -> None:
    logs = private(stack.state_dir / "logs")
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
            password=kept_secret(stack.state_dir / "valkey_password"),
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


def _one_gpu(gpus: Sequence[str], number: int) -> dict[str, str]:
    """Return the environment of a trial worker: of several GPUs it sees one."""
    return {"CUDA_VISIBLE_DEVICES": gpus[number % len(gpus)]} if gpus else {}


def _start_service(
    stack: Stack, trial_environments: Sequence[Mapping[str, str]], *, study_workers: int, host: str, port: int
) -> None:
    logs = stack.state_dir / "logs"
    # One thread each: on a machine without a GPU, cores are shared out as processes.
    worker_environment = {**stack.environment, "OMP_NUM_THREADS": "1"}
    workers = [
        python_child(
            name,
            arguments,
            log=logs / f"{name}.log",
            environment={**worker_environment, **own_environment},
            stop_signal=signal.SIGQUIT,
        )
        for name, arguments, own_environment in [
            ("study-worker", commands.study_worker("studies-0"), {}),
            *(
                (f"study-worker-{n}", commands.study_worker(f"studies-{n}"), {})
                for n in range(1, study_workers)
            ),
            *(
                (f"trial-worker-{n}", commands.trial_worker(f"trials-{n}"), own_environment)
                for n, own_environment in enumerate(trial_environments)
            ),
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
        and all(" ready." in child.output() for child in workers if child.name.startswith("trial-worker"))
    ):
        for child in (*workers, api):
            child.check()
        if time.monotonic() > deadline:
            raise NotReadyInTime(
                f"The server does not answer at {stack.url}. Look into {stack.state_dir / 'logs'}."
            )
        time.sleep(0.05)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310  our own loopback address
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
