"""Replicates: what a worker leases is a trial's configuration with one seed."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

STATES = ("QUEUED", "RUNNING", "SUCCEEDED", "INFEASIBLE", "FAILED", "STOPPED_EARLY", "CANCELLED")
STANDARD_ERRORS = ("metric_standard_errors", "test_metric_standard_errors")


def _json(name: str) -> sa.Column[Any]:
    type_: Any = postgresql.JSONB(none_as_null=True, astext_type=sa.Text())
    return sa.Column(name, type_, server_default="{}", nullable=False)


def _time(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.TIMESTAMP(timezone=True), nullable=True)


def upgrade() -> None:
    op.add_column("studies", sa.Column("replicates", sa.Integer(), server_default="1", nullable=False))
    op.add_column("studies", sa.Column("final_replicates", sa.Integer(), server_default="0", nullable=False))
    op.create_table(
        "replicates",
        sa.Column("trial_id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.String(), nullable=False),
        sa.Column("seed", sa.Integer(), nullable=False),
        sa.Column("state", sa.Enum(*STATES, name="trialstate", native_enum=False, length=20), nullable=False),
        sa.Column("state_reason", sa.String(), nullable=True),
        sa.Column("attempt", sa.Integer(), server_default="0", nullable=False),
        sa.Column("lost_attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("worker", sa.String(), nullable=True),
        _time("lease_expires_at"),
        _json("metrics"),
        _json("test_metrics"),
        _json("provenance"),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        _time("started_at"),
        _time("finished_at"),
        sa.CheckConstraint(
            "(state = 'RUNNING') = (lease_expires_at IS NOT NULL)", name=op.f("ck_replicates_lease")
        ),
        sa.CheckConstraint(
            f"state IN ({', '.join(repr(state) for state in STATES)})", name=op.f("ck_replicates_state")
        ),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name=op.f("fk_replicates_study_id")),
        sa.ForeignKeyConstraint(["trial_id"], ["trials.id"], name=op.f("fk_replicates_trial_id")),
        sa.PrimaryKeyConstraint("trial_id", "number", name=op.f("pk_replicates")),
    )
    op.create_index(op.f("ix_replicates_study_id"), "replicates", ["study_id"], unique=False)
    op.create_index(
        "uq_replicates_trial_id_attempt",
        "replicates",
        ["trial_id", "attempt"],
        unique=True,
        postgresql_where=sa.text("attempt > 0"),
    )
    op.create_index(
        "ix_replicates_open",
        "replicates",
        ["study_id"],
        unique=False,
        postgresql_where=sa.text("state IN ('QUEUED', 'RUNNING')"),
    )
    op.create_index(
        "ix_replicates_leased",
        "replicates",
        ["lease_expires_at"],
        unique=False,
        postgresql_where=sa.text("state = 'RUNNING'"),
    )
    op.execute(
        """
        INSERT INTO replicates (trial_id, number, study_id, seed, state, state_reason, attempt,
            lost_attempts, worker, lease_expires_at, metrics, test_metrics, provenance, created_at,
            started_at, finished_at)
        SELECT id, 0, study_id, coalesce((configuration #>> '{training,seed}')::integer, 0), state,
            state_reason, attempt, lost_attempts, worker, lease_expires_at, metrics, test_metrics,
            provenance, created_at, started_at, finished_at
        FROM trials
        """
    )
    for name in STANDARD_ERRORS:
        op.add_column("trials", _json(name))
    op.drop_index("ix_trials_queued", table_name="trials", postgresql_where=sa.text("state = 'QUEUED'"))
    op.drop_index("ix_trials_leased", table_name="trials", postgresql_where=sa.text("state = 'RUNNING'"))
    op.drop_constraint(op.f("ck_trials_lease"), "trials", type_="check")
    for name in ("lost_attempts", "worker", "lease_expires_at", "provenance"):
        op.drop_column("trials", name)
    op.drop_constraint(op.f("uq_pareto_fronts_trial_id"), "pareto_fronts", type_="unique")


def downgrade() -> None:
    """Keep of each trial its means and its replicate 0; of the fronts, the first that a trial made."""
    op.execute(
        """
        DELETE FROM pareto_fronts AS later USING pareto_fronts AS first
        WHERE first.trial_id = later.trial_id AND first.sequence < later.sequence
        """
    )
    op.create_unique_constraint(op.f("uq_pareto_fronts_trial_id"), "pareto_fronts", ["trial_id"])
    op.add_column("trials", sa.Column("lost_attempts", sa.Integer(), server_default="0", nullable=False))
    op.add_column("trials", sa.Column("worker", sa.String(), nullable=True))
    op.add_column("trials", _time("lease_expires_at"))
    op.add_column("trials", _json("provenance"))
    # A running trial's lease ends at once: its attempt may be that of another seed.
    op.execute(
        """
        UPDATE trials SET lost_attempts = replicates.lost_attempts, worker = replicates.worker,
            provenance = replicates.provenance,
            lease_expires_at = CASE WHEN trials.state = 'RUNNING' THEN now() END
        FROM replicates WHERE replicates.trial_id = trials.id AND replicates.number = 0
        """
    )
    op.create_check_constraint(
        op.f("ck_trials_lease"), "trials", "(state = 'RUNNING') = (lease_expires_at IS NOT NULL)"
    )
    op.create_index(
        "ix_trials_leased",
        "trials",
        ["lease_expires_at"],
        unique=False,
        postgresql_where=sa.text("state = 'RUNNING'"),
    )
    op.create_index(
        "ix_trials_queued",
        "trials",
        ["study_id", "number"],
        unique=False,
        postgresql_where=sa.text("state = 'QUEUED'"),
    )
    for name in STANDARD_ERRORS:
        op.drop_column("trials", name)
    op.drop_table("replicates")
    op.drop_column("studies", "final_replicates")
    op.drop_column("studies", "replicates")
