"""Users whom a sign-in provider vouches for."""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("users", sa.Column("issuer", sa.String(length=300)))
    op.add_column("users", sa.Column("subject", sa.String(length=255)))
    op.create_index("ux_users_issuer_subject", "users", ["issuer", "subject"], unique=True)


def downgrade() -> None:
    op.drop_index("ux_users_issuer_subject", "users")
    with op.batch_alter_table("users") as batch:
        batch.drop_column("subject")
        batch.drop_column("issuer")
