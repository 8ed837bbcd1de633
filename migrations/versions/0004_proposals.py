"""How a study proposes, and why each trial was proposed."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("studies", sa.Column("proposals", JSONB(), server_default="{}", nullable=False))
    op.add_column("studies", sa.Column("importance", JSONB(), nullable=True))
    op.add_column("trials", sa.Column("explanation", JSONB(), nullable=True))


def downgrade() -> None:
    op.drop_column("trials", "explanation")
    op.drop_column("studies", "importance")
    op.drop_column("studies", "proposals")
