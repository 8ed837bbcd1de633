"""When a study is due at the study worker, which worker has it, and how often that has failed."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0016"
down_revision: str | None = "0015"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

TIME = sa.TIMESTAMP(timezone=True)
COLUMNS = (
    "turn_due_at",
    "turn_holder",
    "turn_expires_at",
    "turn_attempts",
    "turn_error",
    "weighing_attempts",
    "hinted_at",
)


def upgrade() -> None:
    op.add_column("studies", sa.Column("turn_due_at", TIME, nullable=True))
    # A study that the version before stores is due at once.
    op.alter_column("studies", "turn_due_at", server_default=sa.func.now())
    op.add_column("studies", sa.Column("turn_holder", sa.String(), nullable=True))
    op.add_column("studies", sa.Column("turn_expires_at", TIME, nullable=True))
    op.add_column("studies", sa.Column("turn_attempts", sa.Integer(), server_default="0", nullable=False))
    op.add_column("studies", sa.Column("turn_error", sa.String(), nullable=True))
    op.add_column("studies", sa.Column("weighing_attempts", sa.Integer(), server_default="0", nullable=False))
    op.add_column("studies", sa.Column("hinted_at", TIME, server_default=sa.func.now(), nullable=False))
    op.add_column("tenants", sa.Column("served_at", TIME, nullable=True))
    op.execute("UPDATE studies SET turn_due_at = now() WHERE state = 'ACTIVE'")
    for column in ("turn_due_at", "turn_expires_at"):
        op.create_index(
            f"ix_studies_{column}", "studies", [column], postgresql_where=sa.text(f"{column} IS NOT NULL")
        )


def downgrade() -> None:
    for column in ("turn_due_at", "turn_expires_at"):
        op.drop_index(f"ix_studies_{column}", "studies")
    op.drop_column("tenants", "served_at")
    for column in reversed(COLUMNS):
        op.drop_column("studies", column)
