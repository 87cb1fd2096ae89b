"""Commands to devices, with their states and the evidence for them"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "commands",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("device_id", sa.BigInteger(), nullable=False),
        sa.Column("tenant", sa.String(128), nullable=False),
        sa.Column("uid", sa.String(128), nullable=False),
        sa.Column("channel", sa.String(64), nullable=False),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("parameters", sa.Text(), nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("qos", sa.Integer(), nullable=False),
        sa.Column("delivery", sa.String(16), nullable=False),
        sa.Column("replies", sa.Boolean(), nullable=False),
        sa.Column("done_when", sa.String(16), server_default="", nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("late", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("reply_timeout_ms", sa.BigInteger(), nullable=False),
        sa.Column("sent_at", sa.BigInteger()),
        sa.Column("delivered_at", sa.BigInteger()),
        sa.Column("finished_at", sa.BigInteger()),
        sa.Column("due_at", sa.BigInteger()),
        sa.Column("downlink_id", sa.BigInteger()),
        sa.Column("session", sa.String(64)),
        sa.Column("result", sa.Text()),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_commands"),
        sa.UniqueConstraint("device_id", "uid", name="uq_commands_device_id_uid"),
        sa.ForeignKeyConstraint(
            ["device_id"], ["devices.id"], name="fk_commands_device_id", ondelete="CASCADE"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_commands_due_at", "commands", ["due_at"])
    op.create_index("ix_commands_state_device_id", "commands", ["state", "device_id"])
    op.create_index("ix_commands_device_id_id", "commands", ["device_id", "id"])
    op.create_index("ix_commands_tenant_id", "commands", ["tenant", "id"])
    op.create_index("ix_commands_tenant_finished_at", "commands", ["tenant", "finished_at"])
    op.create_index("ix_commands_finished_at", "commands", ["finished_at"])
    op.create_index("ix_commands_downlink_id", "commands", ["downlink_id"])


def downgrade() -> None:
    op.drop_table("commands")
