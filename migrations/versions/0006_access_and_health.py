"""Scopes and ends of keys, limits of tenants, audit events; counters and heartbeats.

Keys from before were all made by the operator for a whole tenant, so they become admin keys.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

APPEND_ONLY = (
    """
    CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$
    """,
    """
    CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
    """,
)


def upgrade() -> None:
    op.add_column("tenants", sa.Column("active_studies", sa.Integer(), nullable=True))
    op.add_column("tenants", sa.Column("running_trials", sa.Integer(), nullable=True))
    op.add_column("tenants", sa.Column("artifact_bytes", sa.BigInteger(), nullable=True))
    op.add_column("api_keys", sa.Column("name", sa.String(), server_default="first key", nullable=False))
    op.add_column("api_keys", sa.Column("scope", sa.String(20), server_default="admin", nullable=False))
    for name in ("name", "scope"):
        op.alter_column("api_keys", name, server_default=None)
    op.create_check_constraint(op.f("ck_api_keys_scope"), "api_keys", "scope IN ('read', 'write', 'admin')")
    for name in ("expires_at", "last_used_at", "revoked_at"):
        op.add_column("api_keys", sa.Column(name, sa.TIMESTAMP(timezone=True), nullable=True))
    op.create_table(
        "audit_events",
        sa.Column("sequence", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("key_id", sa.String(), nullable=True),
        sa.Column("request_id", sa.String(), nullable=True),
        sa.Column("body", JSONB(), server_default="{}", nullable=False),
        sa.Column("recorded_at", sa.TIMESTAMP(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_audit_events_tenant_id")),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_audit_events")),
    )
    op.create_index("ix_audit_events_tenant_id_sequence", "audit_events", ["tenant_id", "sequence"])
    for statement in APPEND_ONLY:
        op.execute(statement)
    op.create_table(
        "counters",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.Column("value", sa.Float(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("name", "part", name=op.f("pk_counters")),
    )
    op.create_table(
        "heartbeats",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("beaten_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_heartbeats")),
    )


def downgrade() -> None:
    """Forget who did what; keys that were revoked or have expired must not come back to life."""
    op.drop_table("heartbeats")
    op.drop_table("counters")
    op.drop_table("audit_events")
    op.execute("DROP FUNCTION refuse_change()")
    op.execute(
        "DELETE FROM api_keys WHERE revoked_at IS NOT NULL OR expires_at IS NOT NULL OR scope <> 'admin'"
    )
    for name in ("revoked_at", "last_used_at", "expires_at", "scope", "name"):
        op.drop_column("api_keys", name)
    for name in ("artifact_bytes", "running_trials", "active_studies"):
        op.drop_column("tenants", name)
