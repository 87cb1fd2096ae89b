"""Attributes of devices, and those that a claim code gives."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def ordered(most: int) -> sa.String:
    return sa.String(most).with_variant(sa.String(most, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "device_attributes",
        sa.Column("device_id", BIG_ID, nullable=False),
        sa.Column("name", ordered(64), nullable=False),
        sa.Column("key", ordered(260), nullable=False),
        sa.Column("tenant", sa.String(128), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("source", sa.String(16), nullable=False),
        sa.Column("actor", sa.String(200), server_default="", nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["device_id"],
            ["devices.id"],
            name="fk_device_attributes_device_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("device_id", "name", "key", name="pk_device_attributes"),
    )
    op.create_index("ix_device_attributes_name", "device_attributes", ["name", "key", "device_id"])
    op.create_index(
        "ix_device_attributes_tenant", "device_attributes", ["tenant", "name", "key", "device_id"]
    )
    op.add_column(
        "claim_codes",
        sa.Column("attributes", sa.Text(), server_default="{}", nullable=False),
    )


def downgrade() -> None:
    with op.batch_alter_table("claim_codes") as batch:
        batch.drop_column("attributes")
    op.drop_table("device_attributes")
