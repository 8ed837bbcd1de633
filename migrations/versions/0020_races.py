"""Races: which share of its budget a study keeps for further seeds, and where its race stands."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0020"
down_revision: str | None = "0019"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("studies", sa.Column("race_share", sa.Float(), server_default="0", nullable=False))
    op.add_column("studies", sa.Column("race_progress", postgresql.JSONB(none_as_null=True), nullable=True))


def downgrade() -> None:
    op.drop_column("studies", "race_progress")
    op.drop_column("studies", "race_share")
