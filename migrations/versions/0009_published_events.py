"""Webhooks with their outbox; whatever writes events rings for them and fills the outbox at its commit."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: str = "0009"
down_revision: str | None = "0008"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

TRIGGERS = (
    """
    CREATE FUNCTION publish_events() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_notify('paretune_events', rung.study_id)
        FROM (SELECT DISTINCT study_id FROM written) AS rung;
        INSERT INTO deliveries (study_id, sequence, webhook_id, next_attempt_at)
        SELECT written.study_id, written.sequence, webhooks.id, now()
        FROM written
        JOIN studies ON studies.id = written.study_id
        JOIN webhooks ON webhooks.tenant_id = studies.tenant_id
        WHERE webhooks.disabled_at IS NULL
            AND (webhooks.event_types = '[]' OR jsonb_exists(webhooks.event_types, written.type))
        -- Else a webhook deleted meanwhile would fail the transaction of the event.
        FOR KEY SHARE OF webhooks;
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER publish AFTER INSERT ON events REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION publish_events()
    """,
    """
    CREATE FUNCTION publish_deletion() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_notify('paretune_events', OLD.id);
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER publish_deletion AFTER DELETE ON studies
    FOR EACH ROW EXECUTE FUNCTION publish_deletion()
    """,
)


def upgrade() -> None:
    op.create_table(
        "webhooks",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("event_types", JSONB(), nullable=False),
        sa.Column("secret", sa.String(), nullable=False),
        sa.Column("last_error", sa.String(), nullable=True),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("disabled_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_webhooks_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhooks")),
    )
    op.create_index(op.f("ix_webhooks_tenant_id"), "webhooks", ["tenant_id"])
    op.create_table(
        "deliveries",
        sa.Column("study_id", sa.String(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("webhook_id", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_attempt_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["study_id", "sequence"],
            ["events.study_id", "events.sequence"],
            name=op.f("fk_deliveries_study_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["webhook_id"], ["webhooks.id"], name=op.f("fk_deliveries_webhook_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("study_id", "sequence", "webhook_id", name=op.f("pk_deliveries")),
    )
    op.create_index("ix_deliveries_due", "deliveries", ["webhook_id", "next_attempt_at"])
    for statement in TRIGGERS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TRIGGER publish_deletion ON studies")
    op.execute("DROP TRIGGER publish ON events")
    op.execute("DROP FUNCTION publish_deletion()")
    op.execute("DROP FUNCTION publish_events()")
    op.drop_table("deliveries")
    op.drop_table("webhooks")
