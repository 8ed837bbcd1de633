"""Artifacts that are checkpoints of unfinished trials; workers that say why they take no trials."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0012"
down_revision: str | None = "0009"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("artifacts", sa.Column("kind", sa.String(20), server_default="trained", nullable=False))
    op.add_column("artifacts", sa.Column("attempt", sa.Integer(), nullable=True))
    op.add_column("artifacts", sa.Column("step", sa.Integer(), nullable=True))
    op.create_check_constraint(op.f("ck_artifacts_kind"), "artifacts", "kind IN ('trained', 'checkpoint')")
    op.create_table(
        "degraded_workers",
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("reported_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("host", name=op.f("pk_degraded_workers")),
    )


def downgrade() -> None:
    op.drop_table("degraded_workers")
    op.drop_constraint(op.f("ck_artifacts_kind"), "artifacts", type_="check")
    for column in ("step", "attempt", "kind"):
        op.drop_column("artifacts", column)
