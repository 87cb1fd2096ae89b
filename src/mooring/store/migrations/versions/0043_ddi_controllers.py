"""Devices that ask for updates over HTTP, and how an update reaches its device."""

import sqlalchemy as sa
from alembic import op

revision = "0043"
down_revision = "0042"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "ddi_controllers",
        sa.Column(
            "device_id",
            BIG_ID,
            sa.ForeignKey("devices.id", name="fk_ddi_controllers_device_id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("polled_at", sa.BigInteger(), nullable=False),
        sa.Column("config_at", sa.BigInteger()),
        sa.Column("version", sa.String(128), nullable=False, server_default=""),
        sa.PrimaryKeyConstraint("device_id", name="pk_ddi_controllers"),
    )
    op.add_column(
        "firmware_updates", sa.Column("way", sa.String(8), nullable=False, server_default="mqtt")
    )


def downgrade() -> None:
    with op.batch_alter_table("firmware_updates") as table:
        table.drop_column("way")
    op.drop_table("ddi_controllers")
