"""States of devices, their history, and announced absences."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("device_state", sa.Column("announced_at", sa.BigInteger()))
    op.create_index("ix_device_state_online_at", "device_state", ["online_at"])
    op.create_index("ix_device_state_announced_at", "device_state", ["announced_at"])
    op.create_table(
        "presence",
        sa.Column("device_id", BIG_ID, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("record", sa.Text(), nullable=False),
        sa.Column("interval_ms", sa.BigInteger()),
        sa.Column("interval_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["device_id"], ["devices.id"], name="fk_presence_device_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("device_id", name="pk_presence"),
    )
    op.create_index("ix_presence_state", "presence", ["state", "device_id"])
    op.create_table(
        "presence_changes",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("device_id", BIG_ID, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(100), server_default="", nullable=False),
        sa.ForeignKeyConstraint(
            ["device_id"], ["devices.id"], name="fk_presence_changes_device_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_presence_changes"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_presence_changes_device_id", "presence_changes", ["device_id", "id"])
    op.create_table(
        "presence_marks",
        sa.Column("name", sa.String(16), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_presence_marks"),
    )


def downgrade() -> None:
    for table in ("presence_marks", "presence_changes", "presence"):
        op.drop_table(table)
    op.drop_index("ix_device_state_announced_at", "device_state")
    op.drop_index("ix_device_state_online_at", "device_state")
    with op.batch_alter_table("device_state") as batch:
        batch.drop_column("announced_at")
