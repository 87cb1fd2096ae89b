"""Messages and documents that go to devices"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "downlinks",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("device_id", sa.BigInteger()),
        sa.Column("tenant", sa.String(128), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("payload", sa.LargeBinary()),
        sa.Column("sealed", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("qos", sa.Integer(), nullable=False),
        sa.Column("retain", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("until", sa.String(16), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("losses", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("sent_at", sa.BigInteger()),
        sa.Column("answered_at", sa.BigInteger()),
        sa.Column("finished_at", sa.BigInteger()),
        sa.Column("origin", sa.String(32), nullable=False),
        sa.Column("dedupe", sa.String(128)),
        sa.Column("open_key", sa.String(160)),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("error", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_downlinks"),
        sa.UniqueConstraint("open_key", name="uq_downlinks_open_key"),
        sa.ForeignKeyConstraint(
            ["device_id"], ["devices.id"], name="fk_downlinks_device_id", ondelete="CASCADE"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_downlinks_due", "downlinks", ["state", "tenant", "next_at", "id"])
    op.create_index("ix_downlinks_next_at", "downlinks", ["state", "next_at"])
    op.create_index("ix_downlinks_finished_at", "downlinks", ["finished_at", "expires_at"])
    op.create_index("ix_downlinks_device_id", "downlinks", ["device_id", "finished_at", "id"])
    op.create_index("ix_downlinks_tenant", "downlinks", ["tenant", "finished_at"])
    op.create_table(
        "desired",
        sa.Column("topic", sa.String(1024), nullable=False),
        sa.Column("device_id", sa.BigInteger()),
        sa.Column("tenant", sa.String(128), nullable=False),
        sa.Column("payload", sa.LargeBinary()),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("qos", sa.Integer(), server_default="1", nullable=False),
        sa.Column("origin", sa.String(32), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("pending", sa.Boolean(), nullable=False),
        sa.Column("error", sa.Text()),
        sa.PrimaryKeyConstraint("topic", name="pk_desired"),
    )
    op.create_index("ix_desired_pending", "desired", ["pending", "topic"])
    op.create_index("ix_desired_device_id", "desired", ["device_id"])


def downgrade() -> None:
    op.drop_table("desired")
    op.drop_table("downlinks")
