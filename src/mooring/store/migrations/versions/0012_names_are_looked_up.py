"""Indexes for what is looked up with each change of a device"""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_INDEXES = (
    ("ix_devices_name", "devices", ["name"]),
    ("ix_leftovers_username", "leftovers", ["username"]),
    ("ix_leftovers_client_id", "leftovers", ["client_id"]),
    ("ix_leftovers_name", "leftovers", ["name", "scope"]),
)


def upgrade() -> None:
    for index, table, columns in _INDEXES:
        op.create_index(index, table, columns)


def downgrade() -> None:
    for index, table, _columns in reversed(_INDEXES):
        op.drop_index(index, table_name=table)
