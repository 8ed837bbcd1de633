"""Which port a server may listen on, and the next one if it is taken."""

import socket

from paretune.errors import ParetuneError

NEXT_PORTS = 20
"""How many ports after one that is taken are looked at."""


class PortTaken(ParetuneError):
    """Another process listens on the port; `free` is the next one that none listens on, if there is one."""

    def __init__(self, message: str, *, free: int | None) -> None:
        super().__init__(message)
        self.free = free


def listening_port(host: str, port: int | None) -> int:
    """Return the port, or any free one for None.

    Raises:
        PortTaken: If nothing can listen there; the message names the next port that is free.
    """
    try:
        return _bound(host, port or 0)
    except OSError as error:
        free = None if port is None else _next_free(host, port)
        cure = "Choose another --port" if free is None else f"Port {free} is free: --port {free}"
        raise PortTaken(
            f"Cannot listen on {host}:{port} ({error.strerror}). {cure}, or stop what runs there.", free=free
        ) from error


def _next_free(host: str, port: int) -> int | None:
    for candidate in range(port + 1, min(port + 1 + NEXT_PORTS, 65_536)):
        try:
            return _bound(host, candidate)
        except OSError:
            continue
    return None


def _bound(host: str, port: int) -> int:
    with socket.create_server((host, port), reuse_port=False) as listener:
        return int(listener.getsockname()[1])
