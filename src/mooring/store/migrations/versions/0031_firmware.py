"""Releases of firmware, their files and signatures, and the keys that devices trust."""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
KEY = sa.String(512).with_variant(sa.String(512, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "firmware_releases",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("tenant", sa.String(128), nullable=False),
        sa.Column("product", sa.String(128), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("version_key", KEY, nullable=False),
        sa.Column("hardware", sa.Text(), nullable=False),
        sa.Column("requires", sa.Text(), nullable=False),
        sa.Column("security_version", sa.BigInteger(), nullable=False),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(200), nullable=False),
        sa.Column("published_at", sa.BigInteger()),
        sa.Column("ended_at", sa.BigInteger()),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.name"], name="fk_firmware_releases_tenant"),
        sa.PrimaryKeyConstraint("id", name="pk_firmware_releases"),
        sa.UniqueConstraint(
            *("tenant", "product", "kind", "version_key"),
            name="uq_firmware_releases_tenant_product_kind_version_key",
        ),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "firmware_artifacts",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("release_id", BIG_ID, nullable=False),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("sha1", sa.String(40), nullable=False),
        sa.Column("md5", sa.String(32), nullable=False),
        sa.Column("from_sha256", sa.String(64), server_default="", nullable=False),
        sa.Column("image", sa.String(300), server_default="", nullable=False),
        sa.ForeignKeyConstraint(
            ["release_id"],
            ["firmware_releases.id"],
            name="fk_firmware_artifacts_release_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_firmware_artifacts"),
        sa.UniqueConstraint("release_id", "name", name="uq_firmware_artifacts_release_id_name"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_firmware_artifacts_sha256", "firmware_artifacts", ["sha256"])
    op.create_table(
        "firmware_signatures",
        sa.Column("artifact_id", BIG_ID, nullable=False),
        sa.Column("key", sa.String(16), nullable=False),
        sa.Column("algorithm", sa.String(32), nullable=False),
        sa.Column("value", sa.String(256), nullable=False),
        sa.ForeignKeyConstraint(
            ["artifact_id"],
            ["firmware_artifacts.id"],
            name="fk_firmware_signatures_artifact_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("artifact_id", "key", name="pk_firmware_signatures"),
    )
    op.create_table(
        "firmware_keys",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("tenant", sa.String(128), nullable=False),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("key", sa.String(16), nullable=False),
        sa.Column("algorithm", sa.String(32), nullable=False),
        sa.Column("pem", sa.Text(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(200), nullable=False),
        sa.Column("ended_at", sa.BigInteger()),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.name"], name="fk_firmware_keys_tenant"),
        sa.PrimaryKeyConstraint("id", name="pk_firmware_keys"),
        sa.UniqueConstraint("tenant", "name", name="uq_firmware_keys_tenant_name"),
        sa.UniqueConstraint("tenant", "key", name="uq_firmware_keys_tenant_key"),
        sqlite_autoincrement=True,
    )


def downgrade() -> None:
    op.drop_table("firmware_keys")
    op.drop_table("firmware_signatures")
    op.drop_table("firmware_artifacts")
    op.drop_table("firmware_releases")
