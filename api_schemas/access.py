"""API keys with their scopes, and the log of what was done with them."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, Field

from api_schemas.base import WITHOUT_NUL, Schema

LONGEST_VALIDITY = timedelta(days=36_500)


def _ahead(moment: datetime) -> datetime:
    now = datetime.now(UTC)
    if not now < moment < now + LONGEST_VALIDITY:
        raise ValueError("must lie ahead, and within a hundred years")
    return moment


KeyName = Annotated[str, Field(min_length=1, max_length=200, pattern=WITHOUT_NUL)]


class KeyScope(StrEnum):
    """What a key may do. Each scope includes the ones before it."""

    READ = "read"
    """Look at everything of its tenant."""
    WRITE = "write"
    """Create studies, steer them, upload files."""
    ADMIN = "admin"
    """Make and revoke keys of its tenant, steer its webhooks, read the audit events."""

    def includes(self, other: "KeyScope") -> bool:
        """Return whether a key of this scope may do what the other allows."""
        order = list(KeyScope)
        return order.index(self) >= order.index(other)


class KeyCreate(Schema):
    """A key to make. Without `expires_at` it is valid until it is revoked."""

    name: KeyName
    scope: KeyScope = KeyScope.WRITE
    expires_at: Annotated[AwareDatetime, AfterValidator(_ahead)] | None = None


class KeyRead(Schema):
    """A key as it is listed: never its secret. `last_used_at` is exact to a minute."""

    id: str
    name: str
    scope: KeyScope
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


class KeyCreated(KeyRead):
    """A new key with its secret, which is shown once: it is not kept for a repeated request's answer."""

    secret: str | None


class KeyPage(Schema):
    """Keys, newest first."""

    keys: tuple[KeyRead, ...]
    next_page_token: str | None


class Limit(Schema):
    """How much of something is in use, and how much may be; null where there is no limit."""

    used: int
    limit: int | None


class Limits(Schema):
    """What a tenant may have at once. Paused studies count as active, uploads as bytes of artifacts."""

    active_studies: Limit
    running_trials: Limit
    artifact_bytes: Limit


class AuditEventType(StrEnum):
    """What is accounted for."""

    KEY_CREATED = "key.created"
    KEY_REVOKED = "key.revoked"
    LIMITS_CHANGED = "limits.changed"
    STUDY_CREATED = "study.created"
    STUDY_CANCELLED = "study.cancelled"
    STUDY_DELETED = "study.deleted"
    TRIAL_CORRECTED = "trial.corrected"
    WEBHOOK_CREATED = "webhook.created"
    WEBHOOK_DELETED = "webhook.deleted"


class AuditEventRead(Schema):
    """Who did what to which `subject`. Without `key_id` it was the operator, on the server itself."""

    sequence: int
    type: AuditEventType
    subject: str
    key_id: str | None
    request_id: str | None
    body: dict[str, Any]
    recorded_at: datetime


class AuditEventPage(Schema):
    """Audit events, newest first."""

    audit_events: tuple[AuditEventRead, ...]
    next_page_token: str | None
