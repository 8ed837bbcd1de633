"""The embedded broker is behind a door that nobody else may pass, and no port of it can be taken."""

from pathlib import Path

import psutil
import pytest
import redis

from paretune.embedded_valkey import LONGEST_SOCKET_PATH, EmbeddedValkey, embedded_valkey
from service.runtime.broker_address import redis_url


def _started(directory: Path) -> EmbeddedValkey:
    made = EmbeddedValkey(directory, log=directory / "log", password="p")
    made.start()
    return made


def test_it_listens_on_no_port_and_in_a_folder_of_its_own(tmp_path: Path) -> None:
    """Nobody else may enter the folder, nobody gets in without the password, and nothing is left of it."""
    server = _started(tmp_path / "valkey")
    try:
        assert psutil.Process(server.child.pid).net_connections(kind="inet") == []
        assert server.socket.parent.stat().st_mode & 0o077 == 0
        assert server.socket.stat().st_mode & 0o077 == 0
        with (
            redis.Redis(unix_socket_path=str(server.socket)) as stranger,
            pytest.raises(redis.AuthenticationError),
        ):
            stranger.ping()
    finally:
        server.stop()
    assert not server.socket.exists()


def test_a_folder_of_any_length_and_any_letters_will_do(tmp_path: Path) -> None:
    """The kernel takes short paths only, and an address has letters of its own."""
    deep = tmp_path / ("long " * 20) / "ünï%20cödé"
    for directory in (deep, tmp_path / "a b%20é"):
        with embedded_valkey(directory) as url, redis.Redis.from_url(redis_url(url)) as client:
            assert client.ping()
            assert client.config_get("dir")["dir"] == str(directory)
    assert len(str(deep)) > LONGEST_SOCKET_PATH


def test_one_that_still_ends_takes_nothing_from_its_successor(tmp_path: Path) -> None:
    """Each has a socket of its own, and removes that alone."""
    first = _started(tmp_path / "valkey")
    second = EmbeddedValkey(tmp_path / "valkey", log=tmp_path / "log", password="p")
    assert first.socket != second.socket
    first.stop()
    second.start()
    second.stop()
