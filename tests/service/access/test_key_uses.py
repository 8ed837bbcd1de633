"""When a key was last used: written aside, and seldom."""

from datetime import datetime

from fastapi.testclient import TestClient
from sqlalchemy import text, update
from sqlalchemy.orm import Session

from service.access.key_uses import write_uses
from service.storage.database import transaction
from service.storage.models import ApiKey

MINUTE_AGO = text("now() - interval '61 seconds'")


def last_used(client: TestClient) -> datetime | None:
    found = client.get("/v1/keys").json()["keys"][0]["last_used_at"]
    return None if found is None else datetime.fromisoformat(found)


def swept() -> None:
    with transaction() as session:
        write_uses(session)


def test_reads_write_nothing_and_the_sweeper_writes_once_a_minute(
    client: TestClient, session: Session
) -> None:
    """Requests leave the row alone; uses within a minute of the last written one are not written."""
    assert last_used(client) is None
    assert last_used(client) is None
    swept()
    first = last_used(client)
    assert first is not None
    swept()
    assert last_used(client) == first
    session.execute(update(ApiKey).values(last_used_at=MINUTE_AGO))
    session.commit()
    swept()
    later = last_used(client)
    assert later is not None
    assert later > first


def test_a_key_being_revoked_does_not_hold_the_sweeper_up(client: TestClient, session: Session) -> None:
    """A locked row is left for another sweep."""
    assert last_used(client) is None
    session.execute(text("SELECT id FROM api_keys FOR UPDATE"))
    swept()
    session.rollback()
    assert last_used(client) is None
    swept()
    assert last_used(client) is not None
