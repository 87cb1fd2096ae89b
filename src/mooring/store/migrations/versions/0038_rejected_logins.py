"""Rejected logins of the last hour are found without reading the other events."""

import sqlalchemy as sa
from alembic import op

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None

REFUSED = sa.text("event = 'refused'")


def upgrade() -> None:
    op.create_index(
        "ix_broker_events_refused_at",
        "broker_events",
        ["at"],
        sqlite_where=REFUSED,
        postgresql_where=REFUSED,
    )


def downgrade() -> None:
    op.drop_index("ix_broker_events_refused_at", "broker_events")
