"""A restore that is killed costs nothing that the server had before it."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner, Result

from paretune.backup import RestoreLost, RestoreUnderWay
from paretune.cli import app
from paretune.client import Client
from paretune.errors import NotConfirmed, ParetuneError
from paretune.postgres_tools import plain
from tests.service.trials.test_leases import stored_study

pytestmark = pytest.mark.slow

HOLD_RESTORES = """
    CREATE SCHEMA held;
    CREATE FUNCTION held.wait() RETURNS event_trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF current_setting('application_name') = 'pg_restore' AND tg_tag = 'CREATE INDEX' THEN
            PERFORM pg_advisory_lock_shared(77);
        END IF;
    END $$;
    CREATE EVENT TRIGGER wait ON ddl_command_start EXECUTE FUNCTION held.wait();
"""
"""Lets pg_restore stop before its first index, when it has made and filled the tables."""


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@dataclass
class HeldRestore:
    """A restore in a process of its own, held in its middle, and a session of the test."""

    process: subprocess.Popen[str]
    connection: psycopg.Connection

    def wait_for(self, condition: str) -> None:
        """Wait until a session of this database meets a condition."""
        query = f"SELECT FROM pg_stat_activity WHERE datname = current_database() AND {condition}"
        give_up = time.monotonic() + 60
        while self.connection.execute(query).rowcount == 0:
            assert self.process.poll() is None, self.process.communicate()[0]
            assert time.monotonic() < give_up
            time.sleep(0.05)

    def let_go_on(self) -> None:
        """Take the hold away."""
        self.connection.execute("SELECT pg_advisory_unlock(77)")

    def end_sessions(self, *, but: psycopg.Connection | None = None) -> None:
        """End every other session of the database, as the death of PostgreSQL does."""
        spared = [self.connection.info.backend_pid, *([but.info.backend_pid] if but else [])]
        self.connection.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> ALL (%s)",
            [spared],
        )

    def kill(self, *, but: psycopg.Connection | None = None) -> None:
        """Kill the command and whatever it has asked of PostgreSQL."""
        self.process.kill()
        self.process.communicate()
        self.end_sessions(but=but)


@contextmanager
def held_restore(database_url: str, file: Path) -> Iterator[HeldRestore]:
    command = [sys.executable, "-m", "paretune.cli", "restore", str(file), "--yes"]
    with psycopg.connect(plain(database_url), autocommit=True) as connection:
        connection.execute(HOLD_RESTORES)
        connection.execute("SELECT pg_advisory_lock(77)")
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            restore = HeldRestore(process, connection)
            try:
                restore.wait_for("application_name = 'pg_restore' AND wait_event = 'advisory'")
                yield restore
            finally:
                process.kill()
        connection.execute("DROP EVENT TRIGGER wait; DROP SCHEMA held CASCADE")


@pytest.fixture
def file(client: Client, tmp_path: Path) -> Path:
    """A backup of a server without studies."""
    target = tmp_path / "backup.tar"
    assert run("backup", target).exit_code == 0
    return target


@pytest.fixture
def study_id(file: Path) -> str:
    """A study that is in no backup."""
    return stored_study(trials=1)


@pytest.fixture
def cut_off(database_url: str, file: Path, study_id: str) -> str:
    """The only study of a server whose restore was killed in its middle."""
    with held_restore(database_url, file) as restore:
        restore.kill()
    return study_id


def test_the_next_restore_brings_the_old_tables_back_before_it_asks(
    client: Client, file: Path, cut_off: str
) -> None:
    """Who then says no has everything again."""
    done = run("restore", file)
    assert isinstance(done.exception, NotConfirmed)
    assert "A restore was cut off here. What the server had before it is back." in done.output
    assert client.get_study(cut_off).id == cut_off


def test_the_next_restore_may_be_agreed_to(client: Client, file: Path, cut_off: str) -> None:
    """It then is as any other, and leaves nothing behind."""
    assert run("restore", file, "--yes").exit_code == 0
    assert list(client.studies()) == []
    assert "cut off" not in run("restore", file, "--yes").output


def test_migrate_refuses_a_database_whose_restore_was_cut_off(
    client: Client, file: Path, cut_off: str
) -> None:
    """A fresh schema would look as if nothing had been lost; the sentence says the way back."""
    done = run("migrate")
    assert isinstance(done.exception, ParetuneError)
    assert "paretune restore FILE" in str(done.exception)
    run("restore", file)
    assert run("migrate").exit_code == 0
    assert client.get_study(cut_off).id == cut_off


def test_a_restore_killed_before_its_last_drop_has_ended_well(
    client: Client, database_url: str, file: Path, study_id: str
) -> None:
    """What it brought stays; what was there before is dropped by the next restore, which asks and says so."""
    with held_restore(database_url, file) as restore, psycopg.connect(plain(database_url)) as reader:
        reader.execute("SELECT count(*) FROM before_restore.studies")
        restore.let_go_on()
        restore.wait_for("query LIKE 'DROP SCHEMA before_restore%' AND wait_event_type = 'Lock'")
        restore.kill(but=reader)
    assert run("migrate").exit_code == 0
    assert list(client.studies()) == []
    done = run("restore", file)
    assert isinstance(done.exception, NotConfirmed)
    assert "ended well here" in done.output
    assert list(client.studies()) == []
    again = file.with_name("again.tar")
    assert run("backup", again).exit_code == 0
    assert run("restore", again, "--yes").exit_code == 0
    assert "ended well" not in run("restore", again).output


def test_a_database_that_goes_away_in_the_middle_is_said_in_a_sentence(
    client: Client, database_url: str, file: Path, study_id: str
) -> None:
    """The command cannot bring the tables back; the next one does."""
    with held_restore(database_url, file) as restore:
        restore.end_sessions()
        said = restore.process.communicate(timeout=60)[0]
        assert said.startswith(RestoreLost.__name__)
        assert "Traceback" not in said
    run("restore", file)
    assert client.get_study(study_id).id == study_id


def test_a_restore_that_is_under_way_is_left_alone(
    client: Client, database_url: str, file: Path, study_id: str
) -> None:
    """It looks as one that was cut off, and is none."""
    with held_restore(database_url, file) as restore:
        assert isinstance(run("restore", file, "--yes").exception, RestoreUnderWay)
        assert isinstance(run("migrate").exception, ParetuneError)
        restore.let_go_on()
        assert restore.process.wait(60) == 0
    assert list(client.studies()) == []
