"""The calls of admins as data: keys, audit events and webhooks. Sends nothing."""

from collections.abc import Sequence
from datetime import datetime

from api_schemas.access import (
    AuditEventPage,
    AuditEventRead,
    KeyCreate,
    KeyCreated,
    KeyPage,
    KeyRead,
    KeyScope,
)
from api_schemas.events import EventType
from api_schemas.webhooks import (
    WebhookCreate,
    WebhookCreated,
    WebhookPage,
    WebhookRead,
    WebhookReplay,
    WebhookReplayed,
)
from paretune.client.requests import Page, Request, listing, segment


def create_key(
    *, name: str, scope: KeyScope = KeyScope.WRITE, expires_at: datetime | None = None
) -> Request[KeyCreated]:
    """Make a key of your tenant; its secret is null if the answer had to be asked for again."""
    body = KeyCreate(name=name, scope=scope, expires_at=expires_at)
    return Request("POST", "/v1/keys", KeyCreated.model_validate_json, body=body)


def api_keys() -> Request[Page[KeyRead]]:
    """Read the keys of your tenant, newest first, revoked ones among them."""
    return listing("/v1/keys", KeyPage, lambda page: page.keys)


def revoke_key(key_id: str) -> Request[KeyRead]:
    """End a key at once; revoking it again changes nothing."""
    return Request("DELETE", f"/v1/keys/{segment(key_id)}", KeyRead.model_validate_json)


def audit_events() -> Request[Page[AuditEventRead]]:
    """Read what was done to your tenant's keys, limits and studies, newest first."""
    return listing("/v1/audit_events", AuditEventPage, lambda page: page.audit_events)


def create_webhook(url: str, *, event_types: Sequence[EventType] = ()) -> Request[WebhookCreated]:
    """Send your events to an address; the secret is null if the answer had to be asked for again."""
    body = WebhookCreate(url=url, event_types=tuple(event_types))
    return Request("POST", "/v1/webhooks", WebhookCreated.model_validate_json, body=body)


def webhooks() -> Request[Page[WebhookRead]]:
    """Read the webhooks of your tenant, newest first."""
    return listing("/v1/webhooks", WebhookPage, lambda page: page.webhooks)


def delete_webhook(webhook_id: str) -> Request[None]:
    """Send nothing more there."""
    return Request("DELETE", f"/v1/webhooks/{segment(webhook_id)}", lambda _: None, gone_when_repeated=True)


def replay_webhook(webhook_id: str, *, study_id: str, after: int = 0) -> Request[WebhookReplayed]:
    """Send the events of a study again, from the one after a number."""
    body = WebhookReplay(study_id=study_id, after_sequence=after)
    return Request(
        "POST", f"/v1/webhooks/{segment(webhook_id)}:replay", WebhookReplayed.model_validate_json, body=body
    )
