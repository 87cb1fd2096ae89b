"""Versions of firmware that devices have reported, one after another."""

import sqlalchemy as sa
from alembic import op

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "firmware_changes",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column(
            "device_id",
            BIG_ID,
            sa.ForeignKey("devices.id", name="fk_firmware_changes_device_id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.String(128), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_firmware_changes"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_firmware_changes_device_id", "firmware_changes", ["device_id", "at"])


def downgrade() -> None:
    op.drop_table("firmware_changes")
