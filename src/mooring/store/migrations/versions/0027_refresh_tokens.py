"""Logins that are renewed: how often, and when last."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("renewals", "renewed_at"):
        op.add_column(
            "sessions", sa.Column(name, sa.BigInteger(), nullable=False, server_default="0")
        )


def downgrade() -> None:
    with op.batch_alter_table("sessions") as batch:
        batch.drop_column("renewed_at")
        batch.drop_column("renewals")
