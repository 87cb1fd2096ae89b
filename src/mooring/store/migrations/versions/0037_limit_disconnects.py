"""Devices that are disconnected for a time because of a limit, and for how long in each tenant."""

import sqlalchemy as sa
from alembic import op

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("tenant_limits", sa.Column("disconnect_seconds", sa.BigInteger()))
    op.create_table(
        "limit_disconnects",
        sa.Column(
            "device_id",
            BIG_ID,
            sa.ForeignKey("devices.id", name="fk_limit_disconnects_device_id", ondelete="CASCADE"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("device_id", name="pk_limit_disconnects"),
    )


def downgrade() -> None:
    op.drop_table("limit_disconnects")
    with op.batch_alter_table("tenant_limits") as batch:
        batch.drop_column("disconnect_seconds")
