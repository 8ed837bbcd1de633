"""A lease knows its length, so that one that ends later than that from now betrays a clock that went back."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0015"
down_revision: str | None = "0014"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("replicates", sa.Column("lease_seconds", sa.Double(), nullable=True))


def downgrade() -> None:
    op.drop_column("replicates", "lease_seconds")
