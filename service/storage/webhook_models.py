"""The tables of webhooks and of what each has not got yet."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, func
from sqlalchemy.orm import Mapped, mapped_column

from service.storage.base_table import Base


class Webhook(Base):
    """Where events of a tenant are sent. Its secret signs, so it is kept as it is; no types are all types."""

    __tablename__ = "webhooks"

    id: Mapped[str] = mapped_column(primary_key=True)
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.id"), index=True)
    url: Mapped[str]
    event_types: Mapped[list[Any]]
    secret: Mapped[str]
    last_error: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    disabled_at: Mapped[datetime | None]


class Delivery(Base):
    """An event that a webhook has not got yet: the outbox, filled by a trigger of `events`.

    It is deleted once the receiver has accepted it; without `next_attempt_at` it has been given up.
    `event` is the copy of one that was deleted with its study, which another trigger makes.
    """

    __tablename__ = "deliveries"
    __table_args__ = (Index("ix_deliveries_due", "webhook_id", "next_attempt_at"),)

    study_id: Mapped[str] = mapped_column(primary_key=True)
    sequence: Mapped[int] = mapped_column(primary_key=True)
    webhook_id: Mapped[str] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"), primary_key=True)
    attempts: Mapped[int] = mapped_column(server_default="0", default=0)
    next_attempt_at: Mapped[datetime | None]
    event: Mapped[dict[str, Any] | None]
