"""Updates of devices to releases of firmware."""

import sqlalchemy as sa
from alembic import op

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TABLE = "firmware_updates"

# Numbers that may not be known.
NUMBERS = (
    "session_at",
    "linked_at",
    "seen_since",
    "seen_ts",
    "reported_ts",
    "progress_at",
    "download_at",
    "install_at",
    "until",
    "asked_at",
    "renewed_at",
    "interval_ms",
    "downlink_id",
    "due_at",
    "job_id",
    "finished_at",
)


def upgrade() -> None:
    op.create_table(
        TABLE,
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("tenant", sa.String(128), nullable=False),
        sa.Column("device_id", sa.BigInteger(), nullable=False),
        sa.Column("device", sa.String(128), nullable=False),
        sa.Column(
            "release_id",
            BIG_ID,
            sa.ForeignKey("firmware_releases.id", name="fk_firmware_updates_release_id"),
            nullable=False,
        ),
        sa.Column(
            "artifact_id",
            BIG_ID,
            sa.ForeignKey("firmware_artifacts.id", name="fk_firmware_updates_artifact_id"),
            nullable=False,
        ),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("from_version", sa.String(128), nullable=False, server_default=""),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(200), nullable=False, server_default=""),
        sa.Column("reason", sa.Text(), nullable=False, server_default=""),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("state_at", sa.BigInteger(), nullable=False),
        sa.Column("offers", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("offer_at", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("installs", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("percent", sa.Integer()),
        sa.Column("served", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("linked", sa.Boolean()),
        sa.Column("seen", sa.String(8), nullable=False, server_default=""),
        sa.Column("provable", sa.Boolean(), nullable=False, server_default=sa.text("true")),
        sa.Column("reports", sa.Boolean(), nullable=False, server_default=sa.text("true")),
        sa.Column("code", sa.String(16), nullable=False, server_default=""),
        sa.Column("words", sa.String(4096), nullable=False, server_default=""),
        sa.Column("log", sa.String(65_536), nullable=False, server_default=""),
        sa.Column("history", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.BigInteger()) for name in NUMBERS),
        sa.PrimaryKeyConstraint("id", name="pk_firmware_updates"),
        sqlite_autoincrement=True,
    )
    for name, columns, unique, where in (
        ("uq_firmware_updates_open", ["device_id", "kind"], True, "finished_at IS NULL"),
        ("ix_firmware_updates_watched", ["device_id"], False, "due_at IS NOT NULL"),
    ):
        op.create_index(
            name,
            TABLE,
            columns,
            unique=unique,
            sqlite_where=sa.text(where),
            postgresql_where=sa.text(where),
        )
    for column in ("due_at", "finished_at", "downlink_id", "artifact_id"):
        op.create_index(f"ix_firmware_updates_{column}", TABLE, [column])
    for column in ("job_id", "release_id", "device_id", "tenant"):
        op.create_index(f"ix_firmware_updates_{column}", TABLE, [column, "id"])


def downgrade() -> None:
    op.drop_table(TABLE)
