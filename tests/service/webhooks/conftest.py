"""A receiver, and an application that may send to it."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from service import settings
from service.api.app import create_app
from tests.conftest import API_KEY
from tests.service.conftest import bearer
from tests.service.webhooks.receiver import Receiver, receiving


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as opened:
        yield opened


@pytest.fixture
def client(service_environment: None, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    """The application of an operator who allows the loopback network and http."""
    monkeypatch.setenv("PARETUNE_WEBHOOK_NETWORKS", '["127.0.0.0/8", "::1/128"]')
    monkeypatch.setenv("PARETUNE_WEBHOOK_HTTP", "true")
    settings.settings.cache_clear()
    return TestClient(create_app(), headers=bearer(API_KEY))
