"""What removed logins left on the broker"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "leftovers",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("username", sa.String(300), nullable=False),
        sa.Column("client_id", sa.String(300)),
        sa.Column("scope", sa.String(260)),
        sa.Column("name", sa.String(128)),
        sa.Column("client_ids", sa.Text(), nullable=False),
        sa.Column("filters", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_leftovers"),
        sqlite_autoincrement=True,
    )


def downgrade() -> None:
    op.drop_table("leftovers")
