"""What the models believe of a study's trials: means, deviations, and the chances of being on the front."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0019"
down_revision: str | None = "0018"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "believed_fronts",
        sa.Column("study_id", sa.String(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("member_trial_ids", postgresql.JSONB(none_as_null=True), nullable=False),
        sa.Column("hypervolume", sa.Float(), nullable=True),
        sa.Column("trials", postgresql.JSONB(none_as_null=True), nullable=False),
        sa.Column("recorded_at", sa.TIMESTAMP(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name=op.f("fk_believed_fronts_study_id")),
        sa.PrimaryKeyConstraint("study_id", name=op.f("pk_believed_fronts")),
    )
    op.add_column(
        "studies", sa.Column("believing_attempts", sa.Integer(), server_default="0", nullable=False)
    )


def downgrade() -> None:
    op.drop_column("studies", "believing_attempts")
    op.drop_table("believed_fronts")
