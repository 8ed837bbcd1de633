"""What waits to be delivered outlives the study of its event: the delivery keeps a copy."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: str = "0013"
down_revision: str | None = "0012"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

TRIGGERS = (
    """
    CREATE FUNCTION keep_undelivered_events() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        -- What was given up could be replayed only with its study.
        DELETE FROM deliveries USING gone
        WHERE deliveries.study_id = gone.study_id AND deliveries.sequence = gone.sequence
            AND deliveries.next_attempt_at IS NULL;
        UPDATE deliveries SET event = to_jsonb(gone) FROM gone
        WHERE deliveries.study_id = gone.study_id AND deliveries.sequence = gone.sequence;
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER keep_undelivered AFTER DELETE ON events REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION keep_undelivered_events()
    """,
)


def upgrade() -> None:
    op.add_column("deliveries", sa.Column("event", JSONB(), nullable=True))
    op.drop_constraint(op.f("fk_deliveries_study_id"), "deliveries", type_="foreignkey")
    for statement in TRIGGERS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TRIGGER keep_undelivered ON events")
    op.execute("DROP FUNCTION keep_undelivered_events()")
    op.execute("DELETE FROM deliveries WHERE event IS NOT NULL")
    op.create_foreign_key(
        op.f("fk_deliveries_study_id"),
        "deliveries",
        "events",
        ["study_id", "sequence"],
        ["study_id", "sequence"],
        ondelete="CASCADE",
    )
    op.drop_column("deliveries", "event")
