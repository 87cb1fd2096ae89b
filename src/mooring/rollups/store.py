"""SQL of the roll-ups themselves. The caller decides on transactions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.rollups.model import Key, Level
from mooring.rollups.rows import fetch
from mooring.store.schema import rollup_open

__all__ = ["existing", "level_rows", "open_of", "opened", "rows_below", "write"]

_KEYS_AT_ONCE = 400


def existing(connection: Connection, keys: Iterable[Key]) -> dict[Key, bytes]:
    """The rows there are of these."""
    wanted = list(keys)
    found: dict[Key, bytes] = {}
    for start in range(0, len(wanted), _KEYS_AT_ONCE):
        some = ",".join([f"({d},{c},{v},{b})" for d, c, v, b in wanted[start:][:_KEYS_AT_ONCE]])
        # CROSS JOIN: SQLite then asks for each key, instead of reading everything.
        rows = fetch(
            connection,
            f"WITH wanted(d, c, v, b) AS (VALUES {some})"  # noqa: S608 - numbers
            " SELECT d, c, v, b, data FROM wanted CROSS JOIN rollups"
            " WHERE device_id = d AND channel_id = c AND level = v AND bucket = b",
        )
        found.update(((d, c, v, b), bytes(data)) for d, c, v, b, data in rows)
    return found


def rows_below(connection: Connection, key: Key) -> list[tuple[Key, bytes]]:
    """The rows that make up an open bucket, in the order of time."""
    device, channel, level, bucket = key
    below = Level(level - 1)
    rows = fetch(
        connection,
        "SELECT bucket, data FROM rollups"  # noqa: S608 - numbers
        f" WHERE device_id = {device} AND channel_id = {channel} AND level = {int(below)}"
        f" AND bucket >= {bucket} AND bucket < {bucket + Level(level).minutes} ORDER BY bucket",
    )
    return [((device, channel, int(below), start), bytes(data)) for start, data in rows]


def level_rows(
    connection: Connection, device: int, channel: int, level: Level, *, start: int, end: int
) -> list[tuple[int, bytes]]:
    """(bucket, data) of one level, in the order of time."""
    return fetch(
        connection,
        "SELECT bucket, data FROM rollups"  # noqa: S608 - numbers
        f" WHERE device_id = {device} AND channel_id = {channel} AND level = {int(level)}"
        f" AND bucket >= {start} AND bucket < {end} ORDER BY bucket",
    )


def opened(connection: Connection) -> set[Key]:
    """Every open hour and day."""
    rows = fetch(connection, "SELECT device_id, channel_id, level, bucket FROM rollup_open")
    return {(d, c, v, b) for d, c, v, b in rows}


def open_of(
    connection: Connection, device: int, channel: int, level: Level, *, start: int, end: int
) -> list[int]:
    """The open buckets of one channel of a device at one level."""
    return list(
        connection.execute(
            sa.select(rollup_open.c.bucket)
            .where(
                rollup_open.c.device_id == device,
                rollup_open.c.channel_id == channel,
                rollup_open.c.level == int(level),
                rollup_open.c.bucket >= start,
                rollup_open.c.bucket < end,
            )
            .order_by(rollup_open.c.bucket)
        ).scalars()
    )


def write(
    connection: Connection,
    rows: Sequence[tuple[Key, bytes]],
    opening: Iterable[Key],
    closing: Iterable[Key],
) -> None:
    if rows:
        mark = "?" if connection.dialect.paramstyle == "qmark" else "%s"
        connection.exec_driver_sql(
            _UPSERT.replace("?", mark), [(*key, data) for key, data in sorted(rows)]
        )
    new = [dict(zip(_OPEN, key, strict=True)) for key in sorted(opening)]
    if new:
        connection.execute(sa.insert(rollup_open), new)
    gone = [{"d": d, "c": c, "v": v, "b": b} for d, c, v, b in sorted(closing)]
    if gone:
        connection.execute(_CLOSE, gone)


_OPEN = [column.name for column in rollup_open.c]
_UPSERT = (
    "INSERT INTO rollups (device_id, channel_id, level, bucket, data) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (device_id, channel_id, level, bucket) DO UPDATE SET data = excluded.data"
)
_CLOSE = sa.text(
    "DELETE FROM rollup_open"
    " WHERE device_id = :d AND channel_id = :c AND level = :v AND bucket = :b"
)
_KEYS_AT_ONCE = 400
