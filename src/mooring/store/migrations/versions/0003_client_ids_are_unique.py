"""A client id belongs to one device

The broker ends a session when another login uses its client id. Until now two devices could
have the same one; the older keeps it, and the others get one that nobody uses.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        sa.text(
            "UPDATE devices SET client_id = 'mooring-twin-' || CAST(id AS varchar(20))"
            " WHERE EXISTS (SELECT 1 FROM devices AS older"
            " WHERE older.client_id = devices.client_id AND older.id < devices.id)"
        )
    )
    op.create_index("ix_devices_client_id", "devices", ["client_id"], unique=True)


def downgrade() -> None:
    op.drop_index("ix_devices_client_id", "devices")
