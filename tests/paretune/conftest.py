"""The client that most tests of the package talk through."""

from collections.abc import Iterator

import pytest

from paretune.client import Client
from tests.conftest import API_KEY


@pytest.fixture
def client(server_url: str) -> Iterator[Client]:
    """Of the real application, with the key of the first tenant."""
    with Client(server_url, api_key=API_KEY) as opened:
        yield opened


@pytest.fixture
def served(client: Client, server_url: str, monkeypatch: pytest.MonkeyPatch) -> Client:
    """The server that PARETUNE_URL names."""
    monkeypatch.setenv("PARETUNE_URL", server_url)
    monkeypatch.setenv("PARETUNE_API_KEY", API_KEY)
    return client
