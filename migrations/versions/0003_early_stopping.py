"""Early stopping: a study says when its trials are stopped. Studies from before are never stopped."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("studies", sa.Column("early_stopping", sa.String(), server_default="never", nullable=False))


def downgrade() -> None:
    op.drop_column("studies", "early_stopping")
