"""How much each tenant stores, its limits of that, and whose a removed device's messages are.

What is stored is counted once here; from then on every change counts itself.
"""

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None

DAY_MS = 86_400_000
ROW_BYTES = 100
BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

TABLES = ("tenant_usage", "tenant_usage_days", "tenant_dead_letters", "removed_devices")

ADD_SQLITE = """
CREATE TRIGGER dead_letters_counted AFTER INSERT ON dead_letters WHEN NEW.tenant IS NOT NULL
BEGIN
    INSERT INTO tenant_dead_letters (tenant, bytes) VALUES (NEW.tenant, length(NEW.payload))
    ON CONFLICT (tenant) DO UPDATE SET bytes = bytes + excluded.bytes;
END
"""
DROP_SQLITE = """
CREATE TRIGGER dead_letters_discounted AFTER DELETE ON dead_letters WHEN OLD.tenant IS NOT NULL
BEGIN
    UPDATE tenant_dead_letters SET bytes = max(0, bytes - length(OLD.payload))
    WHERE tenant = OLD.tenant;
END
"""
ADD_FUNCTION = """
CREATE FUNCTION mooring_count_dead_letters() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tenant_dead_letters AS d (tenant, bytes)
    SELECT tenant, sum(octet_length(payload)) FROM added WHERE tenant IS NOT NULL
    GROUP BY tenant ORDER BY tenant
    ON CONFLICT (tenant) DO UPDATE SET bytes = d.bytes + excluded.bytes;
    RETURN NULL;
END $$
"""
DROP_FUNCTION = """
CREATE FUNCTION mooring_discount_dead_letters() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE tenant_dead_letters d SET bytes = greatest(0, d.bytes - g.size)
    FROM (SELECT tenant, sum(octet_length(payload)) AS size FROM gone
          WHERE tenant IS NOT NULL GROUP BY tenant ORDER BY tenant) g
    WHERE d.tenant = g.tenant;
    RETURN NULL;
END $$
"""
ADD_TRIGGER = """
CREATE TRIGGER dead_letters_counted AFTER INSERT ON dead_letters
REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION mooring_count_dead_letters()
"""
DROP_TRIGGER = """
CREATE TRIGGER dead_letters_discounted AFTER DELETE ON dead_letters
REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION mooring_discount_dead_letters()
"""


def upgrade() -> None:
    op.create_table(
        "tenant_usage",
        sa.Column("tenant", sa.String(128), nullable=False),
        sa.Column("messages", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("displaced_messages", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("displaced_bytes", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("displaced_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("tenant", name="pk_tenant_usage"),
    )
    op.create_table(
        "tenant_usage_days",
        sa.Column("tenant", sa.String(128), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("messages", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "day", name="pk_tenant_usage_days"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_tenant_usage_days_day", "tenant_usage_days", ["day"])
    op.create_table(
        "tenant_dead_letters",
        sa.Column("tenant", sa.String(128), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", name="pk_tenant_dead_letters"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "removed_devices",
        sa.Column("device_id", BIG_ID, autoincrement=False, nullable=False),
        sa.Column("tenant", sa.String(128), nullable=False),
        sa.Column("removed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("device_id", name="pk_removed_devices"),
    )
    op.create_index("ix_removed_devices_tenant", "removed_devices", ["tenant"])
    for name in ("stored_bytes", "dead_letter_bytes"):
        op.add_column("tenant_limits", sa.Column(name, sa.BigInteger()))
    _count()
    if op.get_bind().dialect.name == "sqlite":
        statements = [ADD_SQLITE, DROP_SQLITE]
    else:
        statements = [ADD_FUNCTION, DROP_FUNCTION, ADD_TRIGGER, DROP_TRIGGER]
        for table in ("tenant_usage", "tenant_usage_days"):  # they change with every batch
            op.execute(f"ALTER TABLE {table} SET (fillfactor = 60)")
    for statement in statements:
        op.execute(statement)


def _count() -> None:
    """What devices of today have stored. Messages of devices that were removed before belong to
    no tenant any more, and are deleted as they always were."""
    lite = op.get_bind().dialect.name == "sqlite"
    octets = "length(CAST(m.payload AS BLOB))" if lite else "octet_length(m.payload)"
    op.execute(
        "INSERT INTO tenant_usage_days (tenant, day, messages, bytes)"  # noqa: S608 - constants
        f" SELECT d.tenant, m.ts / {DAY_MS}, count(*), sum({octets} + {ROW_BYTES})"
        " FROM messages m JOIN devices d ON d.id = m.device_id"
        f" GROUP BY d.tenant, m.ts / {DAY_MS}"
    )
    op.execute(
        "INSERT INTO tenant_usage (tenant, messages, bytes)"
        " SELECT tenant, sum(messages), sum(bytes) FROM tenant_usage_days GROUP BY tenant"
    )
    size = "length(payload)" if lite else "octet_length(payload)"
    op.execute(
        "INSERT INTO tenant_dead_letters (tenant, bytes)"  # noqa: S608 - constants
        f" SELECT tenant, sum({size}) FROM dead_letters WHERE tenant IS NOT NULL GROUP BY tenant"
    )


def downgrade() -> None:
    lite = op.get_bind().dialect.name == "sqlite"
    on = "" if lite else " ON dead_letters"
    for name in ("counted", "discounted"):
        op.execute(f"DROP TRIGGER dead_letters_{name}{on}")
        if not lite:
            op.execute(f"DROP FUNCTION mooring_{name[:-2]}_dead_letters()")
    with op.batch_alter_table("tenant_limits") as batch:
        batch.drop_column("dead_letter_bytes")
        batch.drop_column("stored_bytes")
    for table in reversed(TABLES):
        op.drop_table(table)
