"""Recipients of notifications, their outbox, and what was sent"""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def partial(name: str, table: str, columns: list[str], where: str) -> None:
    """An index over some rows, on both engines."""
    condition = sa.text(where)
    op.create_index(name, table, columns, sqlite_where=condition, postgresql_where=condition)


def upgrade() -> None:
    off = sa.text("false")
    op.create_table(
        "recipients",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("tenant", sa.String(128), nullable=False),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("sealed_target", sa.LargeBinary(), nullable=False),
        sa.Column("sealed_secret", sa.LargeBinary()),
        sa.Column("target", sa.String(300), nullable=False),
        sa.Column("enabled", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("private", sa.Boolean(), server_default=off, nullable=False),
        sa.Column("platform", sa.Boolean(), server_default=off, nullable=False),
        sa.Column("options", sa.Text(), nullable=False),
        sa.Column("why_off", sa.String(200), server_default="", nullable=False),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("last_error", sa.String(300), server_default="", nullable=False),
        sa.Column("last_failed_at", sa.BigInteger()),
        sa.Column("last_sent_at", sa.BigInteger()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_recipients"),
        sa.UniqueConstraint("tenant", "name", name="uq_recipients_tenant_name"),
        sqlite_autoincrement=True,
    )
    partial("ix_recipients_platform", "recipients", ["id"], "platform")
    op.create_table(
        "notification_items",
        sa.Column("recipient_id", NUMBER, autoincrement=False, nullable=False),
        sa.Column("alert_id", NUMBER, autoincrement=False, nullable=False),
        sa.Column("group_key", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("severity", sa.SmallInteger(), nullable=False),
        sa.Column("told_severity", sa.SmallInteger()),
        sa.Column("told_at", sa.BigInteger()),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("recipient_id", "alert_id", name="pk_notification_items"),
        sa.ForeignKeyConstraint(
            ["recipient_id"],
            ["recipients.id"],
            name="fk_notification_items_recipient_id",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["alert_id"], ["alerts.id"], name="fk_notification_items_alert_id", ondelete="CASCADE"
        ),
    )
    partial("ix_notification_items_due_at", "notification_items", ["due_at"], "due_at IS NOT NULL")
    op.create_index(
        "ix_notification_items_group", "notification_items", ["recipient_id", "group_key"]
    )
    op.create_index("ix_notification_items_alert_id", "notification_items", ["alert_id"])
    op.create_table(
        "notifications",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("recipient_id", NUMBER, nullable=False),
        sa.Column("message_id", sa.String(40), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("routine", sa.Boolean(), server_default=off, nullable=False),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("alerts", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("next_at", sa.BigInteger()),
        sa.Column("finished_at", sa.BigInteger()),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("unanswered", sa.Integer(), server_default="0", nullable=False),
        sa.Column("last_error", sa.String(300), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_notifications"),
        sa.ForeignKeyConstraint(
            ["recipient_id"],
            ["recipients.id"],
            name="fk_notifications_recipient_id",
            ondelete="CASCADE",
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_notifications_recipient_id", "notifications", ["recipient_id", "id"])
    partial(
        "ix_notifications_waiting",
        "notifications",
        ["next_at", "recipient_id"],
        "next_at IS NOT NULL",
    )


def downgrade() -> None:
    for name in ("notifications", "notification_items", "recipients"):
        op.drop_table(name)
