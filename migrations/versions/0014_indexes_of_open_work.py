"""Indexes by which open trials are found and counted without reading those that have ended."""

from collections.abc import Sequence

from alembic import op

revision: str = "0014"
down_revision: str | None = "0013"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

OPEN = "state IN ('QUEUED', 'RUNNING')"


def upgrade() -> None:
    op.execute(f"CREATE INDEX ix_replicates_waiting ON replicates (study_id, state, created_at) WHERE {OPEN}")
    op.execute("DROP INDEX ix_replicates_open")
    op.execute("ALTER INDEX ix_replicates_waiting RENAME TO ix_replicates_open")
    op.execute("CREATE INDEX ix_trials_study_id_state ON trials (study_id, state, generated_by)")


def downgrade() -> None:
    op.execute("DROP INDEX ix_trials_study_id_state")
    op.execute("DROP INDEX ix_replicates_open")
    op.execute(f"CREATE INDEX ix_replicates_open ON replicates (study_id) WHERE {OPEN}")
