"""Releases that are announced to every device, and windows for installs."""

import sqlalchemy as sa
from alembic import op

revision = "0044"
down_revision = "0043"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "firmware_latest",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("topic", sa.String(1024), nullable=False),
        sa.Column("dialects", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("release_id", sa.BigInteger(), nullable=False),
        sa.Column("artifact_id", sa.BigInteger(), nullable=False),
        sa.Column("verifier", sa.String(64), nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger()),
        sa.Column("ended_why", sa.String(16), server_default="", nullable=False),
        sa.ForeignKeyConstraint(
            ["release_id"], ["firmware_releases.id"], name="fk_firmware_latest_release_id"
        ),
        sa.ForeignKeyConstraint(
            ["artifact_id"], ["firmware_artifacts.id"], name="fk_firmware_latest_artifact_id"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_firmware_latest"),
        sa.UniqueConstraint("verifier", name="uq_firmware_latest_verifier"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "uq_firmware_latest_topic",
        "firmware_latest",
        ["topic"],
        unique=True,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    for column in ("job_id", "release_id", "artifact_id"):
        op.create_index(f"ix_firmware_latest_{column}", "firmware_latest", [column])
    op.add_column(
        "firmware_updates", sa.Column("install_in", sa.Text(), nullable=False, server_default="")
    )


def downgrade() -> None:
    with op.batch_alter_table("firmware_updates") as table:
        table.drop_column("install_in")
    op.drop_table("firmware_latest")
