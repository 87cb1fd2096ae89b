"""What a turn of a rollout asks is answered by indexes alone."""

import sqlalchemy as sa
from alembic import op

revision = "0046"
down_revision = "0045"
branch_labels = None
depends_on = None

OPEN = sa.text("finished_at IS NULL")
NOW = sa.text("not_before IS NULL")
LATER = sa.text("not_before IS NOT NULL")


def upgrade() -> None:
    op.create_index(
        "ix_firmware_updates_open_of_job",
        "firmware_updates",
        ["job_id", "state", "linked"],
        sqlite_where=OPEN,
        postgresql_where=OPEN,
    )
    op.create_index(
        "ix_job_targets_now",
        "job_targets",
        ["job_id", "state", "rank"],
        sqlite_where=NOW,
        postgresql_where=NOW,
    )
    op.drop_index("ix_job_targets_not_before", "job_targets")
    op.create_index(
        "ix_job_targets_not_before",
        "job_targets",
        ["job_id", "not_before", "state", "counted"],
        sqlite_where=LATER,
        postgresql_where=LATER,
    )


def downgrade() -> None:
    op.drop_index("ix_job_targets_not_before", "job_targets")
    op.create_index(
        "ix_job_targets_not_before",
        "job_targets",
        ["job_id", "not_before"],
        sqlite_where=LATER,
        postgresql_where=LATER,
    )
    op.drop_index("ix_job_targets_now", "job_targets")
    op.drop_index("ix_firmware_updates_open_of_job", "firmware_updates")
