"""Rollouts: what they have beyond their jobs."""

import sqlalchemy as sa
from alembic import op

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "firmware_rollouts",
        sa.Column("job_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("tenant", sa.String(128), nullable=False),
        sa.Column("release_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("approval", sa.Boolean(), nullable=False),
        sa.Column("changed_by", sa.String(200), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("approved_by", sa.String(200), server_default="", nullable=False),
        sa.Column("approved_at", sa.BigInteger()),
        sa.Column("latest_at", sa.BigInteger()),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name="fk_firmware_rollouts_job_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["release_id"], ["firmware_releases.id"], name="fk_firmware_rollouts_release_id"
        ),
        sa.PrimaryKeyConstraint("job_id", name="pk_firmware_rollouts"),
    )
    op.create_index(
        "ix_firmware_rollouts_tenant", "firmware_rollouts", ["tenant", "kind", "job_id"]
    )
    op.create_index("ix_firmware_rollouts_release_id", "firmware_rollouts", ["release_id"])


def downgrade() -> None:
    op.drop_table("firmware_rollouts")
