"""The key that a deployment gives: hard to guess, and one at a time."""

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from api_schemas.access import KeyScope
from service.access import keys
from service.access.tenants import get_tenant, register_key, weakness
from service.storage.models import ApiKey
from tests.conftest import API_KEY, OTHER_KEY

NEW_KEY = "another-key-of-thirty-two-letters"


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("", "has 0 characters"),
        ("a", "has 1 characters"),
        ("k" * 31, "has 31 characters"),
        ("k" * 32, "repeats a few characters"),
        ("a key of more than 32 characters with spaces", "cannot carry"),
        ("ein-schlüssel-von-mehr-als-32-zeichen", "cannot carry"),
        ("a-key-with-a-line-end-of-32-letters\n", "cannot carry"),
    ],
)
def test_a_key_that_can_be_guessed_or_not_be_sent_is_none(key: str, reason: str) -> None:
    """The sentence says why, and how to make one."""
    told = weakness(key)
    assert told is not None
    assert reason in told
    assert "openssl rand" in told


@pytest.mark.parametrize("key", [API_KEY, "0123456789abcdef" * 2, keys.PREFIX + "x1y2z3w4" * 6])
def test_a_long_key_will_do(key: str) -> None:
    """Ours, those of `openssl rand -hex` and those of `paretune up`."""
    assert weakness(key) is None


def valid(session: Session) -> set[str]:
    """The names of the valid keys of the first tenant, and whose they are."""
    tenant_id = get_tenant(session, "default").id
    query = select(ApiKey).where(ApiKey.tenant_id == tenant_id, ApiKey.revoked_at.is_(None))
    return {key.sha256 for key in session.scalars(query)}


def test_another_first_key_revokes_the_one_before(session: Session) -> None:
    """Of its tenant alone; keys that an admin has made stay, and the same again changes nothing."""
    tenant_id = get_tenant(session, "default").id
    _, made = keys.create_key(session, tenant_id=tenant_id, name="first key", scope=KeyScope.ADMIN)
    for _ in range(2):
        register_key(session, NEW_KEY)
        session.commit()
        assert valid(session) == {keys.key_hash(NEW_KEY), keys.key_hash(made)}
    other = session.scalars(select(ApiKey).where(ApiKey.sha256 == keys.key_hash(OTHER_KEY))).one()
    assert other.revoked_at is None


def test_a_revoked_first_key_stays_revoked(session: Session) -> None:
    """And the one that took its place stays valid, though the old one is set again."""
    register_key(session, NEW_KEY)
    session.commit()
    again = register_key(session, API_KEY)
    session.commit()
    assert again.revoked_at is not None
    assert valid(session) == {keys.key_hash(NEW_KEY)}


@pytest.mark.parametrize("scope", [KeyScope.READ, KeyScope.WRITE])
def test_a_key_that_may_do_less_takes_nobodys_place(session: Session, scope: KeyScope) -> None:
    """Set as the first key, it leaves the tenant its admin."""
    tenant_id = get_tenant(session, "default").id
    keys.add_key(session, NEW_KEY, tenant_id=tenant_id, name="reader", scope=scope)
    register_key(session, NEW_KEY)
    assert keys.key_hash(API_KEY) in valid(session)


def test_anothers_key_takes_nobodys_place(session: Session) -> None:
    """It belongs to another tenant and stays there."""
    register_key(session, OTHER_KEY)
    assert keys.key_hash(API_KEY) in valid(session)
