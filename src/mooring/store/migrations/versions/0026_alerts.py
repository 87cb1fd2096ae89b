"""Alerts and rules."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
OPEN = sa.text("cleared_at IS NULL")
REARMED = sa.text("rearmed")


def upgrade() -> None:
    op.create_table(
        "alerts",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("key", sa.String(120), nullable=False),
        sa.Column("tenant", sa.String(128)),
        sa.Column("device_id", BIG_ID),
        sa.Column("source", sa.String(16), nullable=False),
        sa.Column("rule_id", sa.BigInteger()),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("severity", sa.SmallInteger(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("message", sa.Text(), server_default="", nullable=False),
        sa.Column("value", sa.String(100), server_default="", nullable=False),
        sa.Column("late", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("count", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("raised_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("acknowledged_at", sa.BigInteger()),
        sa.Column("acknowledged_by", sa.String(200), server_default="", nullable=False),
        sa.Column("cleared_at", sa.BigInteger()),
        sa.Column("cleared_by", sa.String(200), server_default="", nullable=False),
        sa.Column("assignee", sa.String(200), server_default="", nullable=False),
        sa.Column("snoozed_until", sa.BigInteger()),
        sa.Column("entries", sa.Integer(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["device_id"], ["devices.id"], name="fk_alerts_device_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_alerts"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "uq_alerts_open", "alerts", ["key"], unique=True, sqlite_where=OPEN, postgresql_where=OPEN
    )
    op.create_index("ix_alerts_key", "alerts", ["key", "id"])
    op.create_index("ix_alerts_device_id", "alerts", ["device_id", "id"])
    op.create_index("ix_alerts_tenant", "alerts", ["tenant", "id"])
    op.create_index(
        "ix_alerts_open_tenant",
        "alerts",
        ["tenant", "severity"],
        sqlite_where=OPEN,
        postgresql_where=OPEN,
    )
    op.create_index(
        "ix_alerts_open_device", "alerts", ["device_id"], sqlite_where=OPEN, postgresql_where=OPEN
    )
    op.create_index("ix_alerts_rule_id", "alerts", ["rule_id"])
    op.create_index("ix_alerts_cleared_at", "alerts", ["cleared_at"])
    op.create_table(
        "alert_history",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("alert_id", BIG_ID, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("event", sa.String(16), nullable=False),
        sa.Column("actor", sa.String(200), server_default="", nullable=False),
        sa.Column("severity", sa.SmallInteger(), nullable=False),
        sa.Column("detail", sa.Text(), server_default="", nullable=False),
        sa.Column("late", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.ForeignKeyConstraint(
            ["alert_id"], ["alerts.id"], name="fk_alert_history_alert_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_alert_history"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_alert_history_alert_id", "alert_history", ["alert_id", "id"])
    _rules()


def _rules() -> None:
    op.create_table(
        "rules",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("tenant", sa.String(128), nullable=False),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("enabled", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("definition", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_rules"),
        sa.UniqueConstraint("tenant", "name", name="uq_rules_tenant_name"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "rule_states",
        sa.Column("rule_id", BIG_ID, nullable=False),
        sa.Column("device_id", BIG_ID, nullable=False),
        sa.Column("record", sa.Text(), nullable=False),
        sa.Column("rearmed", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.ForeignKeyConstraint(
            ["rule_id"], ["rules.id"], name="fk_rule_states_rule_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["device_id"], ["devices.id"], name="fk_rule_states_device_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("rule_id", "device_id", name="pk_rule_states"),
    )
    op.create_index("ix_rule_states_device_id", "rule_states", ["device_id"])
    op.create_index(
        "ix_rule_states_rearmed",
        "rule_states",
        ["rule_id"],
        sqlite_where=REARMED,
        postgresql_where=REARMED,
    )
    op.create_table(
        "rule_queue",
        sa.Column("first_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("last_id", sa.BigInteger(), nullable=False),
        sa.Column("first_ts", sa.BigInteger(), nullable=False),
        sa.Column("last_ts", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("first_id", name="pk_rule_queue"),
    )


def downgrade() -> None:
    for table in ("rule_queue", "rule_states", "rules", "alert_history", "alerts"):
        op.drop_table(table)
