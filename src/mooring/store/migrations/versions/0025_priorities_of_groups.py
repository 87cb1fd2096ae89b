"""A priority belongs to the group, not to its settings"""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "UPDATE groups SET priority = (SELECT one.priority FROM device_settings_levels AS one"
        " WHERE one.level = 'group' AND one.tenant = groups.tenant AND one.name = groups.name)"
        " WHERE EXISTS (SELECT 1 FROM device_settings_levels AS one"
        " WHERE one.level = 'group' AND one.tenant = groups.tenant AND one.name = groups.name)"
    )
    op.drop_column("device_settings_levels", "priority")


def downgrade() -> None:
    op.add_column(
        "device_settings_levels",
        sa.Column("priority", sa.Integer(), nullable=False, server_default="0"),
    )
