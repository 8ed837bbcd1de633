"""An application without its sweeper, and keys for it."""

from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient

from api_schemas.access import KeyScope
from service.access.keys import create_key
from service.access.tenants import get_tenant
from service.storage.database import transaction
from tests.conftest import API_KEY, Connect

Headers = dict[str, str]


@pytest.fixture
def client(service_environment: None, connect: Connect) -> TestClient:
    """The application, called with the first tenant's admin key unless told otherwise."""
    return connect(headers=bearer(API_KEY))


@pytest.fixture
def http(client: TestClient) -> TestClient:
    return client


@pytest.fixture
def headers_for(service_environment: None) -> Callable[[KeyScope], Headers]:
    return new_key


def new_key(scope: KeyScope, *, tenant: str = "default") -> Headers:
    with transaction() as session:
        tenant_id = get_tenant(session, tenant).id
        return bearer(create_key(session, tenant_id=tenant_id, name="a test", scope=scope)[1])


def bearer(secret: str) -> Headers:
    return {"Authorization": f"Bearer {secret}"}
