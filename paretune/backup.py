"""A backup of a server as one tar file: the database, what trials trained, and the uploaded files.

The database is dumped first, in one transaction: whatever it names is still there when files are copied,
for files are only added while studies run. Artifacts in an S3-compatible store stay there.
"""

import io
import json
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psycopg

from paretune.errors import FileExists, ParetuneError
from paretune.file_errors import check_writable
from paretune.postgres_tools import plain, run_tool, server_major

FORMAT = 1
MANIFEST = "manifest.json"
DUMP = "database.dump"
FOLDERS = ("artifacts", "uploads")
RESTORE_LOCK = 0x72657374
"""Any constant that nobody else uses: of two processes that restore at once, the second is refused."""


class RestoreUnderWay(ParetuneError):
    """Another process restores a backup into the same database."""


class RestoreLost(ParetuneError):
    """The database went away in the middle of a restore."""


class NoBackup(ParetuneError):
    """The file is no backup of Paretune, or of a version that this one cannot read."""


@dataclass(frozen=True)
class Places:
    """Where a server keeps everything; None for folders that are none of the file system."""

    database_url: str
    artifacts: Path | None
    uploads: Path


def back_up(places: Places, target: Path) -> dict[str, int]:
    """Write a backup, whole or not at all; return how many files of each folder are in it.

    Raises:
        FileExists: If there is a file already.
        FileUnusable: If its folder is missing, or cannot be written.
        ToolMissing: If there is no pg_dump of the server's major version; ToolFailed if it fails.
    """
    from service.storage.schema_version import SET_ASIDE, expected_revision

    if target.exists():
        raise FileExists(f"{target} is there already. Name another file.")
    check_writable(target.parent, made=False)
    unfinished = target.with_name(f".{target.name}.unfinished")
    counts: dict[str, int] = {}
    try:
        with tempfile.TemporaryDirectory(dir=target.parent) as folder, unfinished.open("xb") as file:
            unfinished.chmod(0o600)
            dump = Path(folder) / DUMP
            run_tool(
                "pg_dump",
                "--format=custom",
                f"--exclude-schema={SET_ASIDE}",
                f"--file={dump}",
                database_url=places.database_url,
            )
            manifest = {
                "format": FORMAT,
                "paretune": version("paretune"),
                "schema": _revision(places.database_url) or expected_revision(),
                "postgres": server_major(places.database_url),
                "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
            }
            with tarfile.open(fileobj=file, mode="w") as archive:
                _add_text(archive, MANIFEST, json.dumps(manifest, indent=2))
                archive.add(dump, DUMP)
                for name, source in zip(FOLDERS, (places.artifacts, places.uploads), strict=True):
                    counts[name] = _add_files(archive, name, source)
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
    return counts


def read_manifest(backup: Path) -> Mapping[str, Any]:
    """Return what a backup says of itself.

    Raises:
        NoBackup: If it is none, or of a schema that this version does not know; the message says what to do.
    """
    from service.storage.schema_version import is_known

    try:
        with tarfile.open(backup) as archive:
            file = archive.extractfile(MANIFEST)
            found = json.loads(file.read()) if file is not None else {}
        revision, by = str(found["schema"]), str(found["paretune"])
    except (OSError, tarfile.TarError, KeyError, ValueError, TypeError) as error:
        raise NoBackup(f"{backup} is no backup that `paretune backup` has written.") from error
    if found.get("format") != FORMAT or not is_known(revision):
        raise NoBackup(
            f"{backup} was made by Paretune {by} (schema {revision}), which is newer than this version, "
            f"{version('paretune')}. Restore it with that version."
        )
    return dict(found)


def holds_something(database_url: str) -> bool:
    """Return whether a database has tables, or has some that a restore has set aside."""
    with psycopg.connect(plain(database_url)) as connection:
        return any(_tables(connection))


def keeps_tables_of_before(database_url: str) -> bool:
    """Return whether a restore has ended well, and was cut off before it dropped the tables of before it."""
    with psycopg.connect(plain(database_url)) as connection:
        return all(_tables(connection))


def bring_back(database_url: str) -> bool:
    """Bring the old tables back if a restore was cut off; return whether one was.

    Raises:
        RestoreUnderWay: If it goes on in another process.
    """
    with _alone(database_url) as connection:
        return _bring_back(connection)


def restore(places: Places, backup: Path) -> dict[str, int]:
    """Put everything of a backup in the place of what is there; return how many files of each folder came.

    The database changes whole or not at all; files that the backup does not have stay.

    Raises:
        RestoreUnderWay: If another process restores into the same database.
        RestoreLost: If the database goes away; the next restore brings the old tables back.
        ToolMissing: If there is no pg_restore of the server's major version; ToolFailed if it fails.
    """
    counts = dict.fromkeys(FOLDERS, 0)
    with tarfile.open(backup) as archive, tempfile.TemporaryDirectory() as folder:
        archive.extract(DUMP, folder, filter="data")
        with _old_tables_aside(places.database_url):
            run_tool(
                "pg_restore",
                "--no-owner",
                "--exit-on-error",
                "--single-transaction",
                f"--dbname={_database(places.database_url)}",
                str(Path(folder) / DUMP),
                database_url=places.database_url,
            )
        for name, target in zip(FOLDERS, (places.artifacts, places.uploads), strict=True):
            if target is None:
                continue
            for member in archive.getmembers():
                if member.isfile() and member.name.startswith(f"{name}/"):
                    member.name = member.name.removeprefix(f"{name}/")
                    archive.extract(member, target, filter="data")
                    counts[name] += 1
    return counts


@contextmanager
def _old_tables_aside(database_url: str) -> Iterator[None]:
    """Keep the tables of before under another name until a block has ended well; else bring them back."""
    from service.storage.schema_version import SET_ASIDE

    with _alone(database_url) as connection:
        _bring_back(connection)
        with connection.transaction():
            connection.execute(f"DROP SCHEMA IF EXISTS {SET_ASIDE} CASCADE")
            connection.execute(f"ALTER SCHEMA public RENAME TO {SET_ASIDE}")
            connection.execute("CREATE SCHEMA public AUTHORIZATION pg_database_owner")
            connection.execute("GRANT USAGE ON SCHEMA public TO PUBLIC")
            connection.execute("COMMENT ON SCHEMA public IS 'standard public schema'")
        try:
            yield
        except BaseException as error:
            try:
                _bring_back(connection)
            except psycopg.OperationalError:
                raise RestoreLost(
                    f"The database went away in the middle of the restore; its tables are in the schema "
                    f"{SET_ASIDE}. Restore again: that brings them back before it asks anything."
                ) from error
            raise
        connection.execute(f"DROP SCHEMA {SET_ASIDE} CASCADE")


@contextmanager
def _alone(database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(plain(database_url), autocommit=True) as connection:
        free = connection.execute("SELECT pg_try_advisory_lock(%s)", [RESTORE_LOCK]).fetchone()
        if free != (True,):
            raise RestoreUnderWay("Another process restores a backup into this database. Let it end.")
        yield connection


def _bring_back(connection: psycopg.Connection) -> bool:
    from service.storage.schema_version import CUT_OFF, SET_ASIDE

    with connection.transaction():
        if connection.execute(CUT_OFF).fetchone() != (True,):
            return False
        connection.execute("DROP SCHEMA IF EXISTS public CASCADE")
        connection.execute(f"ALTER SCHEMA {SET_ASIDE} RENAME TO public")
    return True


def _tables(connection: psycopg.Connection) -> tuple[bool, bool]:
    """Return whether there are tables in use, and whether some are set aside."""
    from service.storage.schema_version import SET_ASIDE

    query = "SELECT DISTINCT schemaname FROM pg_tables WHERE schemaname IN ('public', %s)"
    schemas = {name for (name,) in connection.execute(query, [SET_ASIDE])}
    return "public" in schemas, SET_ASIDE in schemas


def _revision(database_url: str) -> str | None:
    with psycopg.connect(plain(database_url)) as connection:
        found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if found is None else str(found[0])


def _database(database_url: str) -> str:
    return plain(database_url).rpartition("/")[2].partition("?")[0]


def _add_text(archive: tarfile.TarFile, name: str, text: str) -> None:
    content = text.encode()
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o600
    archive.addfile(entry, io.BytesIO(content))


def _add_files(archive: tarfile.TarFile, name: str, source: Path | None) -> int:
    count = 0
    for file in sorted(source.rglob("*")) if source is not None and source.is_dir() else ():
        if file.is_symlink() or not file.is_file():
            continue
        try:
            archive.add(file, f"{name}/{file.relative_to(source or file).as_posix()}")
        except FileNotFoundError:
            continue  # an attempt that was given up, or a study that was deleted meanwhile
        count += 1
    return count
