"""The table of what the broker still has to apply is named after its content"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _rename("outbox", "broker_changes")


def downgrade() -> None:
    _rename("broker_changes", "outbox")


def _rename(old: str, new: str) -> None:
    """Renames the table with everything that carries its name.

    SQLite cannot rename a primary key and keeps no sequence object.
    """
    op.drop_index(f"ix_{old}_username", table_name=old)
    op.rename_table(old, new)
    op.create_index(f"ix_{new}_username", new, ["username"])
    if op.get_bind().dialect.name == "postgresql":
        op.execute(sa.text(f"ALTER TABLE {new} RENAME CONSTRAINT pk_{old} TO pk_{new}"))
        op.execute(sa.text(f"ALTER SEQUENCE {old}_id_seq RENAME TO {new}_id_seq"))
