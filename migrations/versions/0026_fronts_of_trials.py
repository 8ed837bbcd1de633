"""An index for the reference of fronts to trials: without it each deleted trial reads all fronts."""

from collections.abc import Sequence

from alembic import op

revision: str = "0026"
down_revision: str | None = "0025"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    # Not CONCURRENTLY, which takes no part in the one transaction of a migration: fronts are not written
    # while it is built.
    op.create_index("ix_pareto_fronts_trial_id", "pareto_fronts", ["trial_id"])


def downgrade() -> None:
    op.drop_index("ix_pareto_fronts_trial_id", table_name="pareto_fronts")
