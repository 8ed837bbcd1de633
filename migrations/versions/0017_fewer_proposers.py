"""Studies name one of three proposers; what compared them with others is in the benchmarks."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0017"
down_revision: str | None = "0016"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    # Who proposed a trial stays in its `generated_by`.
    op.execute(
        sa.text(
            "UPDATE studies SET proposals = jsonb_set(proposals, '{proposer}', '\"paretune\"') "
            "WHERE proposals ->> 'proposer' NOT IN ('paretune', 'random', 'sobol')"
        )
    )


def downgrade() -> None:
    """What a study named before is not known any more."""
