"""Studies whose trials the caller runs have no configuration; past results are trials beside the budget.

Going back deletes custom studies, which the older version cannot read, and lets imported trials count
against the budget.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

OF_PEFT_ONLY = (
    ("studies", "configuration", JSONB()),
    ("studies", "backbone_shape", JSONB()),
    ("studies", "classes", sa.Integer()),
    ("trials", "configuration", JSONB()),
)
OF_STUDIES = ("events", "pareto_fronts", "replicates", "trials")
OF_TRIALS = ("artifacts", "measurements")


def upgrade() -> None:
    op.add_column("studies", sa.Column("kind", sa.String(), server_default="peft", nullable=False))
    op.add_column("studies", sa.Column("trials_imported", sa.Integer(), server_default="0", nullable=False))
    for table, column, kind in OF_PEFT_ONLY:
        op.alter_column(table, column, existing_type=kind, nullable=True)


def downgrade() -> None:
    custom = "(SELECT id FROM studies WHERE kind = 'custom')"
    for table in OF_TRIALS:
        op.execute(
            f"DELETE FROM {table} WHERE trial_id IN (SELECT id FROM trials WHERE study_id IN {custom})"  # noqa: S608
        )
    for table in OF_STUDIES:
        op.execute(f"DELETE FROM {table} WHERE study_id IN {custom}")  # noqa: S608
    op.execute("DELETE FROM studies WHERE kind = 'custom'")
    op.execute(
        "UPDATE studies SET trials_created = trials_created + trials_imported, "
        "trial_budget = trial_budget + trials_imported"
    )
    for table, column, kind in OF_PEFT_ONLY:
        op.alter_column(table, column, existing_type=kind, nullable=False)
    op.drop_column("studies", "trials_imported")
    op.drop_column("studies", "kind")
