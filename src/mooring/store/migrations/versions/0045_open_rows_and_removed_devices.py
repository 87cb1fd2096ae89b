"""Indexes that only open downlinks and commands are looked up by hold no others; alerts of removed
devices keep the device's name; devices that exceeded a limit are found without reading the other
events of the broker."""

import sqlalchemy as sa
from alembic import op

revision = "0045"
down_revision = "0044"
branch_labels = None
depends_on = None

LIMITED = sa.text("event = 'limited'")
OPEN, OVER = sa.text("finished_at IS NULL"), sa.text("finished_at IS NOT NULL")
CHANGED = (
    ("ix_downlinks_due", "downlinks", ["state", "tenant", "next_at", "id"], OPEN),
    ("ix_downlinks_next_at", "downlinks", ["state", "next_at"], OPEN),
    ("ix_commands_due_at", "commands", ["due_at"], OPEN),
    ("ix_commands_state_device_id", "commands", ["state", "device_id"], OPEN),
    ("ix_commands_finished_at", "commands", ["finished_at"], OVER),
)
NEW = (
    ("ix_commands_open_tenant", "commands", ["tenant"], OPEN),
    ("ix_downlinks_expires_at", "downlinks", ["expires_at"], OPEN),
)
FORMER = ["finished_at", "expires_at"]  # of ix_downlinks_finished_at
DROPPED = (
    ("ix_downlinks_tenant", "downlinks", ["tenant", "finished_at"]),
    ("ix_commands_tenant_finished_at", "commands", ["tenant", "finished_at"]),
    ("ix_commands_downlink_id", "commands", ["downlink_id"]),
)


def upgrade() -> None:
    op.add_column(
        "alerts",
        sa.Column("removed_device", sa.String(128), nullable=False, server_default=""),
    )
    op.create_index(
        "ix_broker_events_limited",
        "broker_events",
        ["id"],
        sqlite_where=LIMITED,
        postgresql_where=LIMITED,
    )
    for name, table, *_ in (*CHANGED, *DROPPED):
        op.drop_index(name, table)
    for name, table, columns, where in CHANGED:
        op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)
    for name, table, columns, where in NEW:
        op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)
    op.drop_index("ix_downlinks_finished_at", "downlinks")
    op.create_index(
        "ix_downlinks_finished_at",
        "downlinks",
        ["finished_at"],
        sqlite_where=OVER,
        postgresql_where=OVER,
    )


def downgrade() -> None:
    for name, table, *_ in NEW:
        op.drop_index(name, table)
    op.drop_index("ix_downlinks_finished_at", "downlinks")
    op.create_index("ix_downlinks_finished_at", "downlinks", FORMER)
    for name, table, columns, _ in CHANGED:
        op.drop_index(name, table)
        op.create_index(name, table, columns)
    for name, table, columns in DROPPED:
        op.create_index(name, table, columns)
    op.drop_index("ix_broker_events_limited", "broker_events")
    op.drop_column("alerts", "removed_device")
