"""Short links under which devices download firmware."""

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
INDEXED = ("update_id", "device_id", "artifact_id", "expires_at", "misused_at")


def upgrade() -> None:
    op.create_table(
        "firmware_links",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("verifier", sa.String(64), nullable=False),
        sa.Column("update_id", sa.BigInteger(), nullable=False),
        sa.Column("device_id", BIG_ID, nullable=False),
        sa.Column("artifact_id", BIG_ID, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("asked_at", sa.BigInteger()),
        sa.Column("misused_at", sa.BigInteger()),
        sa.Column("misused_by", sa.BigInteger()),
        sa.ForeignKeyConstraint(
            ["device_id"], ["devices.id"], name="fk_firmware_links_device_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["artifact_id"],
            ["firmware_artifacts.id"],
            name="fk_firmware_links_artifact_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_firmware_links"),
        sa.UniqueConstraint("verifier", name="uq_firmware_links_verifier"),
    )
    for column in INDEXED:
        op.create_index(f"ix_firmware_links_{column}", "firmware_links", [column])


def downgrade() -> None:
    op.drop_table("firmware_links")
