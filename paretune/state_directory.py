"""The folder in which a server of one machine keeps everything: where it is, who uses it, which version."""

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from filelock import FileLock, Timeout

from paretune.embedded_postgres import write_secret
from paretune.errors import ParetuneError

PROBE_BYTES = 2**16
"""What a directory must take to be called writable: a full disk still takes an empty file."""

VERSION_FILE = "version.json"


class StateDirectoryInUse(ParetuneError):
    """Another server runs on the state directory."""


class StateDirectoryNotWritable(ParetuneError):
    """The state directory cannot be created or written."""


class StateDirectoryNewer(ParetuneError):
    """A newer version of Paretune has written the state directory."""


def default_state_dir() -> Path:
    """Return the usual place: /var/lib for root, the user's data directory for everybody else."""
    if os.geteuid() == 0:
        return Path("/var/lib/paretune")
    return Path(os.environ.get("XDG_DATA_HOME", Path.home() / ".local" / "share")) / "paretune"


def writable(state_dir: Path) -> Path:
    """Make a state directory if there is none, and return it.

    Raises:
        StateDirectoryNotWritable: If it cannot be written.
    """
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


@contextmanager
def locked(state_dir: Path) -> Iterator[None]:
    """Keep other servers off the directory for the length of a block.

    Raises:
        StateDirectoryInUse: If one runs on it.
    """
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


def kept_secret(path: Path, *, prefix: str = "") -> str:
    """Return a secret of the state directory, made where there is none."""
    # Empty is what a full disk may have left of one.
    if not path.exists() or not path.stat().st_size:
        write_secret(path, prefix + secrets.token_urlsafe(32))
    return path.read_text(encoding="ascii")


def private(folder: Path) -> Path:
    """Make a folder that its owner alone may enter, and return it."""
    folder.mkdir(exist_ok=True)
    folder.chmod(0o700)
    return folder


def check_not_newer(state_dir: Path) -> None:
    """Insist that no newer version has brought the directory's database to a schema that this one lacks.

    Raises:
        StateDirectoryNewer: If one has; the message says the ways back.
    """
    from service.storage.schema_version import is_known

    try:
        written = json.loads((state_dir / VERSION_FILE).read_text(encoding="utf-8"))
        revision, by = str(written["schema"]), str(written["paretune"])
    except (OSError, ValueError, KeyError, TypeError):
        return  # of a version that kept none, or of a start that was cut off
    if not is_known(revision):
        raise StateDirectoryNewer(
            f"{state_dir} was last used by Paretune {by}, whose database (schema {revision}) this "
            f"version, {version('paretune')}, cannot read. Nothing was changed. Go on with that version or a "
            "later one, restore a backup from before into another --state-dir, or choose a new --state-dir."
        )


def record_version(state_dir: Path) -> None:
    """Note which version uses the directory from now on, for those before it."""
    from service.storage.schema_version import expected_revision

    written = {"paretune": version("paretune"), "schema": expected_revision()}
    fresh = state_dir / f".{VERSION_FILE}.unfinished"
    fresh.write_text(json.dumps(written) + "\n", encoding="utf-8")
    fresh.replace(state_dir / VERSION_FILE)
