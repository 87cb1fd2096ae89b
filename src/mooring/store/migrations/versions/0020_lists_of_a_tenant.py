"""A page of a tenant's devices is read from an index, in its order."""

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_devices_tenant", "devices", ["tenant", "id"])


def downgrade() -> None:
    op.drop_index("ix_devices_tenant", "devices")
