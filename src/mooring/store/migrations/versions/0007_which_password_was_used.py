"""Which of a rotation's two passwords was used, and when

Where the broker accepts both, its login events say which one a device came with.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("rotations", sa.Column("used_new_at", sa.BigInteger()))
    op.add_column("rotations", sa.Column("used_old_at", sa.BigInteger()))


def downgrade() -> None:
    with op.batch_alter_table("rotations") as batch:
        batch.drop_column("used_old_at")
        batch.drop_column("used_new_at")
