"""What the owner of a study writes beside it, and the words by which it is found again."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0022"
down_revision: str | None = "0021"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("studies", sa.Column("notes", sa.Text(), server_default="", nullable=False))
    op.add_column("studies", sa.Column("tags", postgresql.JSONB(), server_default="[]", nullable=False))


def downgrade() -> None:
    op.drop_column("studies", "tags")
    op.drop_column("studies", "notes")
