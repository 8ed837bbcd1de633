"""Secrets come from files, and reach the stores whatever their characters."""

import asyncio
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import create_engine, make_url, text
from typer.testing import CliRunner

from paretune.cli import app
from service.events import listener
from service.events.feed import EventFeed
from service.settings import read_secret, settings, with_password

PASSWORD = """p@ss/w:rd?#%41 "with' é\\"""
ROLE = "of_many_characters"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of the database's password; DATABASE_URL itself has none."""
    file = tmp_path / "postgres_password"
    file.write_text(f"{PASSWORD}\n", encoding="utf-8")
    monkeypatch.setenv("DATABASE_PASSWORD_FILE", str(file))
    return file


@pytest.fixture
def address(
    service_environment: None, database_url: str, administrator: psycopg.Connection, file: Path
) -> str:
    """The address of a database whose password has every character that means something in an address."""
    administrator.execute(f"DROP ROLE IF EXISTS {ROLE}")
    administrator.execute(
        psycopg.sql.SQL("CREATE ROLE {} LOGIN SUPERUSER PASSWORD {}").format(
            psycopg.sql.Identifier(ROLE), psycopg.sql.Literal(PASSWORD)
        )
    )
    return make_url(database_url)._replace(username=ROLE, password=None).render_as_string(hide_password=False)


class CountedFeed(EventFeed):
    """Knows how often it was rung."""

    rung = 0

    def ring_all(self) -> None:
        self.rung += 1


def test_a_password_of_any_characters_lets_in(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine, and the listener, whose library reads addresses more strictly."""
    monkeypatch.setenv("DATABASE_URL", address)
    settings.cache_clear()
    engine = create_engine(settings().database_url.get_secret_value())
    with engine.connect() as connection:
        assert connection.execute(text("SELECT current_user")).scalar() == ROLE
    engine.dispose()
    feed = CountedFeed()

    async def hear() -> None:
        task = asyncio.create_task(listener.listen(feed))
        async with asyncio.timeout(20):
            while not feed.rung:
                await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(hear())


def test_the_operator_needs_no_other_address(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`paretune keys` in a container of the deployment."""
    monkeypatch.setenv("DATABASE_URL", address)
    done = CliRunner().invoke(app, ["tenants", "list"])
    assert done.exception is None
    assert "default" in done.output


def test_a_secret_that_is_not_there_is_named(file: Path) -> None:
    """Missing or empty: the sentence has the file."""
    for spoil, reason in ((lambda: file.write_text("\n"), "is empty"), (file.unlink, "cannot be read")):
        spoil()
        settings.cache_clear()
        with pytest.raises(ValueError, match=reason) as raised:
            settings()
        assert str(file) in str(raised.value)
    settings.cache_clear()


def test_the_first_key_comes_from_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is preferred to the variable, which a shell may have for its client."""
    file = tmp_path / "api_key"
    file.write_text("the key of the file\n")
    monkeypatch.setenv("PARETUNE_API_KEY", "the key of a client")
    monkeypatch.setenv("PARETUNE_API_KEY_FILE", str(file))
    settings.cache_clear()
    key = settings().bootstrap_api_key
    settings.cache_clear()
    assert key is not None
    assert key.get_secret_value() == "the key of the file"


@pytest.mark.parametrize(
    ("url", "whole"),
    [
        ("redis://valkey:6379/0", "redis://:p%40%2F@valkey:6379/0"),
        ("redis://:old@valkey:6379/0", "redis://:p%40%2F@valkey:6379/0"),
        (
            "postgresql+psycopg://me@[::1]:5/db?require_auth=none",
            "postgresql+psycopg://me:p%40%2F@[::1]:5/db?require_auth=none",
        ),
        ("redis+socket:///a/socket?virtual_host=0", "redis+socket://:p%40%2F@/a/socket?virtual_host=0"),
    ],
)
def test_a_password_is_put_into_an_address(url: str, whole: str) -> None:
    """With or without a user, a password, a host."""
    assert with_password(url, "p@/") == whole


def test_only_the_line_break_of_a_file_is_left_out(tmp_path: Path) -> None:
    """As a shell reads it, which is how the stores' own images do."""
    (tmp_path / "secret").write_text(" a secret \n")
    assert read_secret(tmp_path / "secret") == " a secret "
