"""The embedded database's password stays between it and its clients, whoever listens on its port."""

import re
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import create_engine, make_url
from sqlalchemy.exc import OperationalError

COMPOSE = Path(__file__).parents[2] / "docker-compose.yml"
SSL_REQUEST, GSS_REQUEST = 80877103, 80877104
CLEARTEXT, MD5, TRUSTED = struct.pack("!i", 3), struct.pack("!i", 5) + b"salt", struct.pack("!i", 0)


class Impostor:
    """Listens where the database should, asks for what it wants to know, and keeps what it hears."""

    def __init__(self, asks: bytes) -> None:
        self.heard = b""
        self._asks = asks
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5)
                self._talk(connection)

    def _talk(self, connection: socket.socket) -> None:
        while len(head := connection.recv(8)) == 8:
            length, code = struct.unpack("!ii", head)
            if code not in (SSL_REQUEST, GSS_REQUEST):
                connection.recv(length - 8)
                break
            connection.sendall(b"N")
        connection.sendall(b"R" + struct.pack("!i", 4 + len(self._asks)) + self._asks)
        try:
            self.heard += connection.recv(1000)
        except OSError:
            return


@pytest.fixture(params=[CLEARTEXT, MD5, TRUSTED], ids=["cleartext", "md5", "trusted"])
def impostor(request: pytest.FixtureRequest) -> Iterator[Impostor]:
    made = Impostor(request.param)
    yield made
    made.close()


def _secret_of(url: str) -> bytes:
    return (make_url(url).password or "").encode()


def test_whoever_takes_the_port_is_told_nothing(impostor: Impostor, database_url: str) -> None:
    """Neither by the service's engine nor by the connection that listens for events."""
    elsewhere = make_url(database_url).set(port=impostor.port)
    engine = create_engine(elsewhere)
    with pytest.raises(OperationalError, match="auth"):
        engine.connect()
    engine.dispose()
    with pytest.raises(psycopg.OperationalError, match="auth"):
        psycopg.connect(elsewhere.set(drivername="postgresql").render_as_string(hide_password=False))
    assert len(_secret_of(database_url)) >= 24
    assert _secret_of(database_url) not in impostor.heard
    assert impostor.heard == b""


def test_the_impostor_would_be_told_by_a_careless_client(database_url: str) -> None:
    """Else the test above would show nothing."""
    impostor = Impostor(CLEARTEXT)
    careless = make_url(database_url).set(port=impostor.port, query={}).render_as_string(hide_password=False)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(careless.replace("+psycopg", ""))
    impostor.close()
    assert _secret_of(database_url) in impostor.heard


def test_the_database_under_compose_must_know_the_password_too() -> None:
    """Every address of a database that is written down here."""
    found = re.findall(r"postgresql\+psycopg://.*", COMPOSE.read_text(encoding="utf-8"))
    assert found
    assert all(url.endswith("?require_auth=scram-sha-256") for url in found)
