"""A target of a job may wait for a time, and a wave for a share of its outcomes."""

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None

LATER = sa.text("not_before IS NOT NULL")


def upgrade() -> None:
    op.add_column("jobs", sa.Column("gate_done", sa.Float()))
    op.add_column("job_targets", sa.Column("not_before", sa.BigInteger()))
    op.create_index(
        "ix_job_targets_not_before",
        "job_targets",
        ["job_id", "not_before"],
        sqlite_where=LATER,
        postgresql_where=LATER,
    )


def downgrade() -> None:
    op.drop_index("ix_job_targets_not_before", "job_targets")
    op.drop_column("job_targets", "not_before")
    op.drop_column("jobs", "gate_done")
