"""Admins make and revoke keys, read the log of it, and steer webhooks, from both twins of the client."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from api_schemas.access import KeyScope
from api_schemas.events import EventType
from paretune.client import AsyncClient, Client
from paretune.errors import RequestRefused
from tests.conftest import API_KEY
from tests.paretune.client.studies import custom_study


def test_a_key_that_may_only_read_makes_no_key(server_url: str) -> None:
    """Nor does one that was revoked do anything."""
    with Client(server_url, api_key=API_KEY) as admin:
        made = admin.create_key(name="reader", scope=KeyScope.READ)
        with Client(server_url, api_key=made.secret or "") as reader:
            assert list(reader.studies()) == []
            with pytest.raises(RequestRefused) as refused:
                reader.create_key(name="more")
            assert refused.value.problem.status == 403
            assert admin.revoke_key(made.id).revoked_at is not None
            with pytest.raises(RequestRefused) as refused:
                next(reader.studies())
            assert refused.value.problem.status == 401
        with pytest.raises(RequestRefused, match="no"):
            admin.revoke_key("key_of_nobody")


def test_the_asynchronous_twin_makes_lists_and_revokes_keys(server_url: str) -> None:
    """The list never has the secret; the audit log has both deeds."""

    async def use() -> None:
        async with AsyncClient(server_url, api_key=API_KEY) as admin:
            tomorrow = datetime.now(UTC) + timedelta(days=1)
            made = await admin.create_key(name="ci", expires_at=tomorrow)
            assert made.secret
            listed = [key async for key in admin.api_keys()]
            assert (listed[0].id, listed[0].expires_at) == (made.id, tomorrow)
            assert made.secret not in repr(listed)
            assert (await admin.revoke_key(made.id)).id == made.id
            deeds = [event.type async for event in admin.audit_events()]
            assert deeds[:2] == ["key.revoked", "key.created"]

    asyncio.run(use())


def test_a_webhook_is_made_listed_replayed_and_deleted(server_url: str) -> None:
    """Its address is one that the public may reach; what waits is counted."""
    with Client(server_url, api_key=API_KEY) as admin:
        study = admin.create_study(custom_study())
        made = admin.create_webhook("https://1.1.1.1/hook", event_types=[EventType.STUDY_CREATED])
        assert made.secret
        assert admin.replay_webhook(made.id, study_id=study.id).scheduled == 1
        assert [(hook.id, hook.waiting) for hook in admin.webhooks()] == [(made.id, 1)]
        admin.delete_webhook(made.id)
        assert list(admin.webhooks()) == []
