"""Jobs: one action for many devices, and their targets"""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
COUNTS = ("waiting", "handed_over", "succeeded", "failed", "skipped", "cancelled")


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("tenant", sa.String(128), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("selection", sa.Text(), nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("origin", sa.String(200), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("request_key", sa.String(80)),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("why", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.BigInteger()),
        sa.Column("finished_at", sa.BigInteger()),
        sa.Column("due_at", sa.BigInteger()),
        sa.Column("pace", sa.Float()),
        sa.Column("at_once", sa.Integer()),
        sa.Column("stop_after", sa.Integer()),
        sa.Column("stop_share", sa.Float()),
        sa.Column("waves", sa.String(200), nullable=False),
        sa.Column("gate_share", sa.Float(), nullable=False),
        sa.Column("soak_ms", sa.BigInteger(), nullable=False),
        sa.Column("prepared_to", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("wave", sa.Integer(), server_default="0", nullable=False),
        sa.Column("wave_over_at", sa.BigInteger()),
        sa.Column("paced_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("forgiven", sa.Integer(), server_default="0", nullable=False),
        sa.Column("forgiven_successes", sa.Integer(), server_default="0", nullable=False),
        sa.Column("retrying", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        *(sa.Column(name, sa.Integer(), server_default="0", nullable=False) for name in COUNTS),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
        sa.UniqueConstraint("request_key", name="uq_jobs_request_key"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_jobs_tenant_id", "jobs", ["tenant", "id"])
    op.create_index("ix_jobs_tenant_finished_at", "jobs", ["tenant", "finished_at"])
    op.create_index("ix_jobs_finished_at", "jobs", ["finished_at"])
    op.create_index("ix_jobs_due_at", "jobs", ["due_at"])
    op.create_table(
        "job_targets",
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("device_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("device", sa.String(128), nullable=False),
        sa.Column("rank", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("counted", sa.String(16), nullable=False),
        sa.Column("cause", sa.String(64), server_default="", nullable=False),
        sa.Column("words", sa.Text(), server_default="", nullable=False),
        sa.Column("reference", sa.String(64)),
        sa.Column("mark", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("handed_at", sa.BigInteger()),
        sa.Column("finished_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("job_id", "device_id", name="pk_job_targets"),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name="fk_job_targets_job_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_job_targets_job_id_state_rank", "job_targets", ["job_id", "state", "rank"])
    op.create_index("ix_job_targets_reference", "job_targets", ["reference"])
    op.create_index(
        "ix_job_targets_uncounted",
        "job_targets",
        ["job_id"],
        sqlite_where=sa.text("state <> counted"),
        postgresql_where=sa.text("state <> counted"),
    )


def downgrade() -> None:
    op.drop_table("job_targets")
    op.drop_table("jobs")
