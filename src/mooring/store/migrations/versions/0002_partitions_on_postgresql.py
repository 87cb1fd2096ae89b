"""Messages by the week, on PostgreSQL

SQLite needs nothing of this. Columns are in an order that leaves no gaps between them: a
message takes 14 bytes less.
"""

import time

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

WEEK_MS, MONDAY_MS = 604_800_000, 345_600_000
ID_BLOCK = 65_536

MESSAGES = """
CREATE TABLE messages (
    id bigint NOT NULL DEFAULT nextval('messages_id_seq'),
    device_id bigint NOT NULL,
    ts bigint NOT NULL,
    received_at bigint NOT NULL,
    seq bigint,
    fingerprint bigint NOT NULL,
    channel_id integer NOT NULL,
    time_source smallint NOT NULL,
    payload text NOT NULL
) PARTITION BY RANGE (ts)
"""

# Anyone who deletes messages frees their numbers, as the partial index on SQLite does.
FORGET = """
CREATE FUNCTION mooring_forget_numbers() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM message_numbers n USING gone g
    WHERE g.time_source <> 0 AND g.seq IS NOT NULL
      AND n.device_id = g.device_id AND n.seq = g.seq AND n.fingerprint = g.fingerprint;
    RETURN NULL;
END $$
"""
TRIGGER = """
CREATE TRIGGER messages_forget_numbers AFTER DELETE ON messages
REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION mooring_forget_numbers()
"""


def upgrade() -> None:
    connection = op.get_bind()
    if connection.dialect.name != "postgresql":
        return
    if connection.execute(sa.text("SELECT 1 FROM messages LIMIT 1")).first():
        raise RuntimeError("There are messages already: copy them with `mooring db copy`.")
    op.drop_table("messages")
    # By steps: anyone who takes a number has the ids up to the next one for a batch of rows.
    op.execute(f"CREATE SEQUENCE messages_id_seq INCREMENT {ID_BLOCK}")
    op.execute(MESSAGES)
    op.execute("ALTER SEQUENCE messages_id_seq OWNED BY messages.id")
    op.create_index("uq_messages_once", "messages", ["device_id", "ts", "fingerprint"], unique=True)
    op.execute(
        "CREATE INDEX ix_messages_id ON messages USING brin (id) WITH (pages_per_range = 32)"
    )
    now = time.time_ns() // 1_000_000
    floor = now - (now - MONDAY_MS) % WEEK_MS
    op.execute(
        "CREATE TABLE messages_before PARTITION OF messages"
        f" FOR VALUES FROM (MINVALUE) TO ({floor})"
    )
    op.create_table(
        "message_numbers",
        sa.Column("device_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("fingerprint", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("ts", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("device_id", "seq", "fingerprint", name="pk_message_numbers"),
    )
    op.create_index("ix_message_numbers_ts", "message_numbers", ["ts"], postgresql_using="brin")
    op.execute(FORGET)
    op.execute(TRIGGER)
    op.create_table(
        "ingest_attempts",
        sa.Column("client_id", sa.String(128), nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("client_id", name="pk_ingest_attempts"),
    )
    # Rows of these change with every batch: room on the page keeps the indexes out of it.
    for table in ("latest", "device_state", "counters", "ingest_attempts", "rollups"):
        op.execute(f"ALTER TABLE {table} SET (fillfactor = 60)")


def downgrade() -> None:
    raise NotImplementedError("Restore a backup: this would delete every message.")
