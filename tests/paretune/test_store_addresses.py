"""Commands find the stores that the environment names."""

from pathlib import Path

import pytest

from paretune.store_addresses import SecretUnreadable, broker_url, database_url


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "password"
    for store in ("DATABASE", "BROKER"):
        monkeypatch.setenv(f"{store}_URL", "scheme://me@host:1/0")
        monkeypatch.setenv(f"{store}_PASSWORD_FILE", str(file))
    return file


def test_a_password_that_is_not_there_is_named(file: Path) -> None:
    """A sentence with the file, not a traceback."""
    for find in (database_url, broker_url):
        with pytest.raises(SecretUnreadable, match="cannot be read") as raised:
            find()
        assert str(file) in str(raised.value)


def test_the_password_of_the_file_is_in_the_address(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Quoted; and what the environment does not name has no address, file or not."""
    file.write_text("p@ss\n")
    assert (database_url(), broker_url()) == ("scheme://me:p%40ss@host:1/0",) * 2
    monkeypatch.delenv("BROKER_URL")
    assert broker_url() is None
