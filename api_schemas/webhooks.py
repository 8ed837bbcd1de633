"""Webhooks: where events of a tenant are sent, and the body that arrives there."""

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, Field

from api_schemas.base import Schema
from api_schemas.events import EventRead, EventType

StudyId = Annotated[str, Field(pattern=r"^std_[0-9a-f]{32}$", examples=[f"std_{'0' * 32}"])]


def _printable(url: str) -> str:
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("write it in ASCII, with %XX and punycode for everything else")
    return url


class WebhookCreate(Schema):
    """An address to send events to. Without `event_types` it gets every type."""

    url: Annotated[str, Field(min_length=1, max_length=2000), AfterValidator(_printable)]
    event_types: tuple[EventType, ...] = Field(default=(), max_length=len(EventType))


class WebhookRead(Schema):
    """A webhook as it is listed: never its secret.

    `waiting` deliveries are due or will be tried again; `given_up` ones were refused to the end, and
    `:replay` sends them again. A webhook whose receiver answered 410 is disabled.
    """

    id: str
    url: str
    event_types: tuple[EventType, ...]
    waiting: int
    given_up: int
    last_error: str | None
    created_at: datetime
    disabled_at: datetime | None


class WebhookCreated(WebhookRead):
    """A new webhook with the secret that verifies its messages.

    It is shown this once: a repeated request with the same Idempotency-Key gets null in its place.
    """

    secret: str | None


class WebhookPage(Schema):
    """Webhooks, newest first."""

    webhooks: tuple[WebhookRead, ...]
    next_page_token: str | None


class DeliveryRead(Schema):
    """An event that has not arrived: after how many attempts, and when the next one is due.

    Without a next one it has been given up. `last_error` of the webhook says why; what arrived is not kept.
    """

    study_id: str
    sequence: int
    type: EventType
    recorded_at: datetime
    attempts: int
    next_attempt_at: datetime | None


class DeliveryPage(Schema):
    """Deliveries that have not arrived, those of the newest studies and of their last events first."""

    deliveries: tuple[DeliveryRead, ...]
    next_page_token: str | None


class WebhookReplay(Schema):
    """Which events to send again: those of a study after a number, of the types of the webhook."""

    study_id: StudyId
    after_sequence: int = Field(default=0, ge=0, lt=2**31)


class WebhookReplayed(Schema):
    """How many deliveries now wait."""

    scheduled: int


class WebhookMessage(Schema):
    """What arrives at a webhook, after the Standard Webhooks specification."""

    type: EventType
    timestamp: datetime
    data: EventRead
