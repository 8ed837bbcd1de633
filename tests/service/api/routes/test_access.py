"""Keys and audit events through the HTTP door."""

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from api_schemas.access import KeyScope
from service.storage.models import ApiKey
from tests.conftest import OTHER_KEY, study_body
from tests.service.conftest import bearer, new_key


def made(client: TestClient, **body: object) -> dict[str, str]:
    response = client.post("/v1/keys", json={"name": "ci", **body})
    assert response.status_code == 201
    key: dict[str, str] = response.json()
    return key


def test_a_key_with_an_end_in_the_past_is_refused(client: TestClient) -> None:
    """422 with a pointer to the field."""
    answer = client.post("/v1/keys", json={"name": "ci", "expires_at": "2020-01-01T00:00:00Z"})
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["pointer"]) == (422, "/expires_at")
    assert "must lie ahead" in error["detail"]


@pytest.mark.parametrize(
    ("scope", "allowed"), [(KeyScope.READ, [200, 403, 403]), (KeyScope.WRITE, [200, 201, 403])]
)
def test_a_key_may_do_what_its_scope_says(client: TestClient, scope: KeyScope, allowed: list[int]) -> None:
    """Reading, creating a study, listing keys: 403 says which scope is missing."""
    headers = new_key(scope)
    answers = [
        client.get("/v1/studies", headers=headers),
        client.post("/v1/studies", json=study_body(), headers=headers),
        client.get("/v1/keys", headers=headers),
    ]
    assert [answer.status_code for answer in answers] == allowed
    problem = answers[-1].json()
    assert problem["type"] == "/problems/missing-scope"
    assert f"scope 'admin'; yours has '{scope}'" in problem["detail"]


def test_a_revoked_key_opens_nothing_from_then_on(client: TestClient) -> None:
    """401 says since when; revoking again changes nothing; another's key cannot be revoked."""
    key = made(client)
    headers = bearer(key["secret"])
    assert client.get("/v1/studies", headers=headers).status_code == 200
    assert client.delete(f"/v1/keys/{key['id']}", headers=bearer(OTHER_KEY)).status_code == 404
    first = client.delete(f"/v1/keys/{key['id']}").json()
    assert client.delete(f"/v1/keys/{key['id']}").json() == first
    refused = client.get("/v1/studies", headers=headers)
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert f"was revoked at {first['revoked_at'][:16]}" in refused.json()["detail"]


def test_a_key_tells_what_it_is(client: TestClient) -> None:
    """Of the smallest scope, too; never its secret."""
    shown = client.get("/v1/keys/current", headers=new_key(KeyScope.READ))
    assert (shown.json()["name"], shown.json()["scope"]) == ("a test", "read")
    assert "secret" not in shown.json()


def test_an_expired_key_opens_nothing(client: TestClient, session: Session) -> None:
    """By the database's clock; the key is still listed."""
    key = made(client, expires_at="2090-01-01T00:00:00Z")
    headers = bearer(key["secret"])
    assert client.get("/v1/studies", headers=headers).status_code == 200
    session.get_one(ApiKey, key["id"]).expires_at = session.scalar(text("SELECT now()"))
    session.commit()
    refused = client.get("/v1/studies", headers=headers)
    assert (refused.status_code, "expired at" in refused.json()["detail"]) == (401, True)
    assert key["id"] in [item["id"] for item in client.get("/v1/keys").json()["keys"]]


def test_a_secret_is_shown_once_and_kept_nowhere(client: TestClient, session: Session) -> None:
    """Lists and rows hold no secret; pages come newest first."""
    keys = [made(client, scope="read") for _ in range(2)]
    assert all(key["secret"].startswith("ptk_") and len(key["secret"]) > 40 for key in keys)
    first = client.get("/v1/keys?page_size=1").json()
    rest = client.get(f"/v1/keys?page_token={first['next_page_token']}").json()
    listed = [item["id"] for page in (first, rest) for item in page["keys"]]
    assert listed[:2] == [keys[1]["id"], keys[0]["id"]]
    rows = "".join(str(vars(row)) for row in session.scalars(select(ApiKey)))
    assert keys[0]["secret"] not in str(first) + str(rest) + rows


def test_what_was_done_can_be_accounted_for(client: TestClient) -> None:
    """Each event names the key and the request; another tenant sees none of it."""
    named = {"X-Request-ID": "deploy-7"}
    key = made(client)
    headers = bearer(key["secret"]) | named
    study_id = client.post("/v1/studies", json=study_body(), headers=headers).json()["id"]
    client.post(f"/v1/studies/{study_id}:cancel", headers=headers)
    client.post(f"/v1/studies/{study_id}:cancel", headers=headers)
    client.delete(f"/v1/keys/{key['id']}", headers=named)
    first = client.get("/v1/audit_events?page_size=1").json()
    rest = client.get(f"/v1/audit_events?page_token={first['next_page_token']}").json()
    events = [*first["audit_events"], *rest["audit_events"]]
    assert [(event["type"], event["subject"]) for event in events[:4]] == [
        ("key.revoked", key["id"]),
        ("study.cancelled", study_id),
        ("study.created", study_id),
        ("key.created", key["id"]),
    ]
    assert [event["request_id"] for event in events[:3]] == ["deploy-7"] * 3
    assert [event["key_id"] == key["id"] for event in events[:4]] == [False, True, True, False]
    others = client.get("/v1/audit_events", headers=bearer(OTHER_KEY)).json()["audit_events"]
    assert {event["type"] for event in others} == {"key.created"}
    assert study_id not in str(others)


@pytest.mark.parametrize("change", ["UPDATE audit_events SET type = ''", "DELETE FROM audit_events"])
def test_what_was_done_cannot_be_rewritten(session: Session, change: str) -> None:
    """The database itself refuses."""
    with pytest.raises(DBAPIError, match="audit_events is append-only"):
        session.execute(text(change))


def test_the_last_admin_key_of_a_tenant_is_not_revoked(client: TestClient, session: Session) -> None:
    """409 with what to do first: nobody could make another. One that expires, or may do less, is none."""
    first = client.get("/v1/keys").json()["keys"][-1]["id"]
    made(client, scope="write")
    expiring = made(client, scope="admin", expires_at="2090-01-01T00:00:00Z")
    refused = client.delete(f"/v1/keys/{first}")
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/last-admin-key")
    assert client.get("/v1/keys").status_code == 200
    assert client.delete(f"/v1/keys/{expiring['id']}").status_code == 200
    other = made(client, scope="admin")
    assert client.delete(f"/v1/keys/{first}").status_code == 200
    last = client.delete(f"/v1/keys/{other['id']}", headers=bearer(other["secret"]))
    assert (last.status_code, last.json()["type"]) == (409, "/problems/last-admin-key")
