"""Which key of a tenant its deployment gave it: there is one, and another takes its place."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0018"
down_revision: str | None = "0017"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("api_keys", sa.Column("is_first", sa.Boolean(), server_default=sa.false(), nullable=False))
    # So far they were known by their name alone, and several could be valid.
    op.execute("UPDATE api_keys SET is_first = true WHERE name = 'first key' AND scope = 'admin'")


def downgrade() -> None:
    op.drop_column("api_keys", "is_first")
