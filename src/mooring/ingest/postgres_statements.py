"""The statements of ``sink_postgres``: each writes a whole batch from arrays.

Rows are given in the order of their keys, so that two ingest processes take locks in the same
order and wait for each other instead of ending in a deadlock. ``counters`` come last: every
process changes the same few rows, and holds them only while it commits.
"""

from __future__ import annotations

from mooring.ingest.rows import AHEAD_MS

__all__ = [
    "BLOCK",
    "CLAIM",
    "COPY",
    "COPY_TYPES",
    "COUNT",
    "DEAD",
    "FORGET",
    "INSERT",
    "LATEST",
    "LEDGER",
    "NUMBERS",
    "QUEUE",
    "RULES",
    "TRIM_DEAD",
    "UNKNOWN",
    "USED",
    "USED_DAY",
    "VERSIONS",
]

_COLUMNS = "id, device_id, channel_id, ts, received_at, seq, time_source, fingerprint, payload"
COPY = f"COPY messages ({_COLUMNS}) FROM STDIN (FORMAT BINARY)"
COPY_TYPES = ("int8", "int8", "int4", "int8", "int8", "int8", "int2", "int8", "text")
INSERT = (
    f"INSERT INTO messages ({_COLUMNS}) SELECT * FROM unnest(%s::bigint[], %s::bigint[],"  # noqa: S608 - constants
    " %s::int[], %s::bigint[], %s::bigint[], %s::bigint[], %s::smallint[], %s::bigint[],"
    " %b::text[])"
    " ON CONFLICT DO NOTHING RETURNING id"
)
# Ids for the next rows: the sequence counts in blocks, so that no other batch's ids lie between
# those of one batch. Roll-ups rely on it.
BLOCK = (
    "SELECT nextval(seqrelid), seqincrement FROM pg_sequence"
    " WHERE seqrelid = 'messages_id_seq'::regclass"
)
QUEUE = "INSERT INTO rollup_queue (first_id, last_id, first_ts, last_ts) VALUES (%s, %s, %s, %s)"
# What rules have not seen, while there are any.
RULES = (
    "INSERT INTO rule_queue (first_id, last_id, first_ts, last_ts)"
    " SELECT %s::bigint, %s::bigint, %s::bigint, %s::bigint"
    " WHERE EXISTS (SELECT 1 FROM rules WHERE enabled)"
)
NUMBERS = (
    "INSERT INTO message_numbers AS n (device_id, seq, fingerprint, ts) SELECT * FROM"
    " unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[])"
    " ON CONFLICT (device_id, seq, fingerprint) DO UPDATE SET ts = excluded.ts"
    " WHERE n.ts < excluded.ts - %s RETURNING n.device_id, n.seq, n.fingerprint"
)
# No row: this very batch was committed before.
CLAIM = (
    "INSERT INTO ingest_attempts AS a (client_id, token) VALUES (%s, %s)"
    " ON CONFLICT (client_id) DO UPDATE SET token = excluded.token WHERE a.token <> excluded.token"
)


def _compared(row: str) -> str:
    """As ``rows.is_newer`` compares: a time that is ahead counts as that of arrival."""
    return (
        f"CASE WHEN {row}.ts > {row}.received_at + {AHEAD_MS}"
        f" THEN {row}.received_at ELSE {row}.ts END"
    )


LATEST = (
    "INSERT INTO latest AS l (device_id, channel_id, ts, received_at, time_source, payload)"  # noqa: S608 - constants
    " SELECT * FROM unnest(%s::bigint[], %s::int[], %s::bigint[], %s::bigint[],"
    " %s::smallint[], %b::text[]) ON CONFLICT (device_id, channel_id) DO UPDATE SET"
    " ts = excluded.ts, received_at = excluded.received_at,"
    " time_source = excluded.time_source, payload = excluded.payload"
    # As ``rows.is_newer``.
    f" WHERE {_compared('excluded')} >= {_compared('l')}"
    " OR ((excluded.time_source <> 0 OR l.time_source <> 0)"
    " AND excluded.received_at >= l.received_at)"
)
# Metadata is a flat object (see ``mooring.dialects.meaning``), so || merges it whole.
DEAD = (
    "INSERT INTO dead_letters (received_at, reason, detail, topic, tenant, device_id, size,"
    " payload) SELECT * FROM unnest(%s::bigint[], %b::text[], %b::text[], %b::text[],"
    " %b::text[], %s::bigint[], %s::bigint[], %b::bytea[])"
)
TRIM_DEAD = "DELETE FROM dead_letters WHERE id <= (SELECT max(id) FROM dead_letters) - %s"
# The limit counts as if they came one by one: those known already, then new ones in order.
UNKNOWN = (
    "WITH given AS (SELECT * FROM unnest(%b::text[], %b::text[], %b::text[], %s::bigint[],"
    " %s::bigint[], %b::text[], %s::bigint[], %b::bytea[]) WITH ORDINALITY"
    " AS one(dialect, tenant, name, at, messages, topic, registered, registration, place)),"
    # Each tenant has a list of its own. Tenants that nobody has created share one.
    " room AS (SELECT wanted.tenant, owner.name IS NOT NULL AS owned, CASE WHEN owner.name IS NULL"
    "  THEN %s - (SELECT count(*) FROM strangers) ELSE %s - (SELECT count(*) FROM strangers theirs"
    "  WHERE theirs.tenant = wanted.tenant) END AS most"
    "  FROM (SELECT DISTINCT tenant FROM given) wanted"
    "  LEFT JOIN tenants owner ON owner.name = wanted.tenant),"
    " numbered AS (SELECT given.*, known.name IS NOT NULL AS known, most, row_number() OVER ("
    "  PARTITION BY known.name IS NULL, CASE WHEN owned THEN tenant END ORDER BY place) AS nth"
    "  FROM given JOIN room USING (tenant) LEFT JOIN strangers known USING (dialect, tenant, name))"
    " INSERT INTO strangers AS s (dialect, tenant, name, first_seen_at, last_seen_at, messages,"
    " last_topic, registered_at, registration) SELECT dialect, tenant, name, at, at, messages,"
    " topic, registered, registration FROM numbered WHERE known OR nth <= most"
    " ORDER BY dialect, tenant, name"
    " ON CONFLICT (dialect, tenant, name) DO UPDATE SET"
    " last_seen_at = excluded.last_seen_at, messages = s.messages + excluded.messages,"
    " last_topic = excluded.last_topic,"
    " registered_at = coalesce(excluded.registered_at, s.registered_at),"
    " registration = coalesce(excluded.registration, s.registration)"
)
LEDGER = (
    "INSERT INTO ingest_ledger (client_id, batch, packets) VALUES (%s, %s, %s)"
    " ON CONFLICT (client_id, batch) DO UPDATE SET packets = excluded.packets"
)
FORGET = "DELETE FROM ingest_ledger WHERE client_id = %s AND batch <= %s"
COUNT = (
    "INSERT INTO counters AS c (name, value) SELECT * FROM unnest(%b::text[], %s::bigint[])"
    " ON CONFLICT (name) DO UPDATE SET value = c.value + excluded.value"
)
USED = (
    "INSERT INTO tenant_usage AS u (tenant, messages, bytes)"
    " SELECT * FROM unnest(%b::text[], %s::bigint[], %s::bigint[])"
    " ON CONFLICT (tenant) DO UPDATE SET"
    " messages = u.messages + excluded.messages, bytes = u.bytes + excluded.bytes"
)
USED_DAY = (
    "INSERT INTO tenant_usage_days AS u (tenant, day, messages, bytes)"
    " SELECT * FROM unnest(%b::text[], %s::int[], %s::bigint[], %s::bigint[])"
    " ON CONFLICT (tenant, day) DO UPDATE SET"
    " messages = u.messages + excluded.messages, bytes = u.bytes + excluded.bytes"
)
VERSIONS = "SELECT name, value FROM versions WHERE name IN ('devices', 'dialects', 'broker_users')"
