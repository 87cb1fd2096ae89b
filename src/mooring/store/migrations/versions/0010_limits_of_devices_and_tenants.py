"""What devices and tenants may take of the broker."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "device_limits",
        sa.Column(
            "device_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            sa.ForeignKey("devices.id", name="fk_device_limits_device_id", ondelete="CASCADE"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("connections", sa.BigInteger()),
        sa.Column("messages", sa.BigInteger()),
        sa.Column("bytes", sa.BigInteger()),
        sa.PrimaryKeyConstraint("device_id", name="pk_device_limits"),
    )
    op.create_table(
        "tenant_limits",
        sa.Column(
            "tenant",
            sa.String(length=128),
            sa.ForeignKey("tenants.name", name="fk_tenant_limits_tenant", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("connections", sa.BigInteger()),
        sa.Column("messages", sa.BigInteger()),
        sa.Column("bytes", sa.BigInteger()),
        sa.PrimaryKeyConstraint("tenant", name="pk_tenant_limits"),
    )


def downgrade() -> None:
    op.drop_table("tenant_limits")
    op.drop_table("device_limits")
