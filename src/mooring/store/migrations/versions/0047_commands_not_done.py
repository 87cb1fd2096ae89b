"""Commands that failed are found without reading those that are done."""

import sqlalchemy as sa
from alembic import op

revision = "0047"
down_revision = "0046"
branch_labels = None
depends_on = None

NOT_DONE = sa.text("finished_at IS NOT NULL AND state <> 'done'")


def upgrade() -> None:
    op.create_index(
        "ix_commands_not_done",
        "commands",
        ["state", "id"],
        sqlite_where=NOT_DONE,
        postgresql_where=NOT_DONE,
    )


def downgrade() -> None:
    op.drop_index("ix_commands_not_done", "commands")
