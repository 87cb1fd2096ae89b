"""Settings of devices, by levels; retained documents that hold secrets are sealed."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def device(table: str, *, nullable: bool) -> list[sa.schema.SchemaItem]:
    return [
        sa.Column(
            "device_id",
            BIG_ID,
            sa.ForeignKey("devices.id", name=f"fk_{table}_device_id", ondelete="CASCADE"),
            nullable=nullable,
        )
    ]


def upgrade() -> None:
    op.create_table(
        "device_settings_levels",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("tenant", sa.String(128), nullable=False),
        sa.Column("level", sa.String(16), nullable=False),
        sa.Column("name", sa.String(128), nullable=False),
        *device("device_settings_levels", nullable=True),
        sa.Column("priority", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("schema", sa.Text()),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_by", sa.String(200), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False, server_default=""),
        sa.Column("applied_upto", sa.BigInteger()),
        sa.Column("guard_until", sa.BigInteger()),
        sa.Column("guard_from", sa.BigInteger()),
        sa.Column("guard_version", sa.BigInteger()),
        sa.Column("guard_session", sa.BigInteger()),
        sa.Column("guard_document", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_device_settings_levels"),
    )
    op.create_index("ix_device_settings_levels_device_id", "device_settings_levels", ["device_id"])
    op.create_index(
        "uq_device_settings_levels_name",
        "device_settings_levels",
        ["tenant", "level", "name"],
        unique=True,
    )
    op.create_index(
        "ix_device_settings_levels_applied_upto", "device_settings_levels", ["applied_upto"]
    )
    op.create_index(
        "ix_device_settings_levels_guard_until", "device_settings_levels", ["guard_until"]
    )
    op.create_table(
        "device_settings",
        *device("device_settings", nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("state", sa.String(16), nullable=False, server_default="none"),
        sa.Column("document", sa.Text()),
        sa.Column("changed_at", sa.BigInteger()),
        sa.Column("sent_at", sa.BigInteger()),
        sa.Column("refusals", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("words", sa.Text(), nullable=False, server_default=""),
        sa.Column("reported_version", sa.BigInteger()),
        sa.Column("reported_seq", sa.BigInteger()),
        sa.Column("reported_at", sa.BigInteger()),
        sa.Column("reported", sa.Text()),
        sa.Column("too_large", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("topic", sa.String(1024)),
        sa.Column("downlink_id", sa.BigInteger()),
        sa.Column("placed_version", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("due", sa.Boolean(), nullable=False, server_default=sa.text("false")),
        sa.Column("problem", sa.Text(), nullable=False, server_default=""),
        sa.PrimaryKeyConstraint("device_id", name="pk_device_settings"),
    )
    op.create_index("ix_device_settings_state", "device_settings", ["state", "device_id"])
    op.create_index("ix_device_settings_due", "device_settings", ["due", "device_id"])
    op.create_table(
        "device_settings_history",
        *device("device_settings_history", nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("cause", sa.String(200), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("device_id", "version", name="pk_device_settings_history"),
    )
    op.create_table(
        "device_settings_progress",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("devices_version", sa.BigInteger(), nullable=False),
        sa.Column("dialects_version", sa.BigInteger(), nullable=False),
        sa.Column("sweep_after", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_device_settings_progress"),
    )
    op.add_column(
        "desired",
        sa.Column("sealed", sa.Boolean(), nullable=False, server_default=sa.text("false")),
    )


def downgrade() -> None:
    with op.batch_alter_table("desired") as batch:
        batch.drop_column("sealed")
    op.drop_table("device_settings_progress")
    op.drop_table("device_settings_history")
    op.drop_table("device_settings")
    op.drop_table("device_settings_levels")
