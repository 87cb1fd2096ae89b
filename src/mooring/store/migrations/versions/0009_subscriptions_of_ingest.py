"""The numbers of ingest's subscriptions, by which copies of one message are recognised."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ingest_filters",
        sa.Column("client_id", sa.String(length=128), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("filter", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("client_id", "number", name="pk_ingest_filters"),
    )


def downgrade() -> None:
    op.drop_table("ingest_filters")
