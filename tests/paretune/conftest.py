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
