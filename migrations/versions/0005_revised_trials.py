"""How much each proposal knew, and results found by configuration across studies."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("trials", sa.Column("known_results", sa.Integer(), server_default="0", nullable=False))
    op.create_index("ix_trials_configuration_key", "trials", ["configuration_key"])


def downgrade() -> None:
    op.drop_index("ix_trials_configuration_key", table_name="trials")
    op.drop_column("trials", "known_results")
