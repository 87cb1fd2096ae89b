"""Public keys of devices, and passwords that end by themselves."""

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "device_keys",
        sa.Column("id", number, nullable=False),
        sa.Column(
            "device_id",
            number,
            sa.ForeignKey("devices.id", name="fk_device_keys_device_id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("key", sa.String(length=32), nullable=False),
        sa.Column("algorithm", sa.String(length=8), nullable=False),
        sa.Column("pem", sa.Text(), nullable=False),
        sa.Column("label", sa.String(length=200), nullable=False, server_default=""),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("issued_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_device_keys"),
        sa.UniqueConstraint("device_id", "key", name="uq_device_keys_device_id_key"),
    )
    op.add_column("credentials", sa.Column("expires_at", sa.BigInteger()))
    op.create_index("ix_credentials_expires_at", "credentials", ["expires_at"])


def downgrade() -> None:
    op.drop_index("ix_credentials_expires_at", "credentials")
    with op.batch_alter_table("credentials") as batch:
        batch.drop_column("expires_at")
    op.drop_table("device_keys")
