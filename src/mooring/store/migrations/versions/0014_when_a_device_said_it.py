"""When a device made the messages that its state comes from, by its own clock."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("online_ts", "firmware_ts", "metadata_ts"):
        op.add_column("device_state", sa.Column(name, sa.BigInteger()))


def downgrade() -> None:
    with op.batch_alter_table("device_state") as batch:
        for name in ("metadata_ts", "firmware_ts", "online_ts"):
            batch.drop_column(name)
