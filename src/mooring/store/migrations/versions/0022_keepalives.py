"""Broker events hold the keepalive of a connect

A device with a long one has more time to come back after a restart.
"""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("broker_events", sa.Column("keepalive", sa.Integer()))


def downgrade() -> None:
    op.drop_column("broker_events", "keepalive")
