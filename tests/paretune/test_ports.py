"""Which port a server may have."""

import socket

import pytest

from paretune.ports import PortTaken, listening_port


def test_a_taken_port_offers_the_next() -> None:
    """By number, as an option to give."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken) as refused:
            listening_port("127.0.0.1", port)
    assert refused.value.free is not None
    assert refused.value.free > port
    assert f"--port {refused.value.free}" in str(refused.value)
    assert listening_port("127.0.0.1", refused.value.free) == refused.value.free


def test_an_address_of_another_machine_has_no_free_port() -> None:
    """There the number is not what is wrong."""
    with pytest.raises(PortTaken, match="Choose another") as refused:
        listening_port("192.0.2.1", 8080)
    assert refused.value.free is None
