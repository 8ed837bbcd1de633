"""When the service says that it can take work."""

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text
from sqlalchemy.orm import Session

from service import sweeper
from service.app import create_app


@pytest.fixture
def client(service_environment: None) -> TestClient:
    # Not entered, so no sweeper runs but the one that a test runs.
    return TestClient(create_app())


def reasons(client: TestClient) -> dict[str, str]:
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.headers["content-type"] == "application/problem+json"
    return {item["pointer"]: item["detail"] for item in response.json()["errors"]}


@pytest.mark.parametrize(
    ("revision", "cure"),
    [("0001", "run `paretune migrate`"), ("9999", "start the version that made it")],
)
def test_not_ready_with_the_schema_of_another_version(
    client: TestClient, session: Session, revision: str, cure: str
) -> None:
    """Behind or ahead, the answer says what to do; the process itself is alive."""
    session.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})
    session.commit()
    assert cure in reasons(client)["/migrations"]
    assert client.get("/healthz").status_code == 200


def test_a_started_application_is_ready_at_once(service_environment: None) -> None:
    """Its first sweep comes before its first request."""
    with TestClient(create_app()) as client:
        assert client.get("/readyz").status_code == 200


def test_not_ready_while_nobody_takes_lost_trials_back(client: TestClient, session: Session) -> None:
    """Before the first sweep, and when sweeps have stopped; one sweep makes it ready."""
    assert "has never run" in reasons(client)["/sweeper"]
    sweeper.sweep_once()
    assert client.get("/readyz").json() == {"status": "ready"}
    session.execute(text("UPDATE heartbeats SET beaten_at = now() - interval '21 seconds'"))
    session.commit()
    assert "has not run for 21 s" in reasons(client)["/sweeper"]
