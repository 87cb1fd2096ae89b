"""The anchors of ``mooring.clock`` in the database: one row a boot.

``settle`` is called every few seconds by every process. A row is written when something has
changed, and otherwise at most every ``WRITE_MS`` by whichever process comes first.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring import clock
from mooring.clock import Anchor, Reading, Trust
from mooring.store.engine import Database
from mooring.store.schema import (
    broker_changes,
    broker_events,
    broker_requests,
    clocks,
    credentials,
    device_state,
    downlinks,
    latest,
    leases,
    processes,
    rotations,
    sequences,
)

__all__ = ["BOOTS_MAX", "confirm", "deletion_time", "follow", "known", "settle"]

WRITE_MS = 10_000
BOOTS_MAX = 32  # boots remembered, those with the latest times


def settle(database: Database) -> Anchor:
    """Looks at the clocks, stores what follows, and makes this process count by it.

    Raises:
        DatabaseUnavailable: this process counts on from the anchor it has.
    """
    reading = clock.read()
    with database.read() as connection:
        anchor = _of_boot(connection, reading.boot)
    if anchor is None or _is_news(anchor, clock.judge(anchor, None, reading)):
        with database.write(news=False) as connection:
            anchor = _judge(connection, clock.read())
    clock.install(anchor)
    return anchor


def follow(database: Database) -> None:
    """Makes this process count by what is stored, and writes nothing: for a command that is
    over before the next look.

    Raises:
        DatabaseUnavailable: the database cannot be read.
    """
    with database.read() as connection:
        clock.install(known(connection, clock.read()))


def known(connection: Connection, reading: Reading) -> Anchor:
    """What is known of the boot of a reading; judged from it where nothing is stored."""
    anchor = _of_boot(connection, reading.boot)
    if anchor is None or reading.steady < anchor.steady:
        return clock.judge(anchor, _newest(connection), reading)
    return anchor


def deletion_time(connection: Connection) -> int | None:
    """The time to delete by, in epoch milliseconds; ``None``: the clock is in doubt, and
    nothing may be deleted for its age."""
    reading = clock.read()
    return clock.deletion_ms(known(connection, reading), reading)


def confirm(connection: Connection) -> Anchor:
    """Takes the wall clock for right, in the caller's transaction. What was known of other
    boots is forgotten: machines that share the database count from this time."""
    anchor = clock.confirm(clock.read())
    connection.execute(sa.delete(clocks))
    connection.execute(sa.insert(clocks).values(_values(anchor)))
    _leave_no_future(connection, anchor.wall)
    clock.install(anchor)
    return anchor


# ---------------------------------------------------------------------- inside

# Times that decide what is done next or which of two is newer, and how far ahead of now they may
# rightly be, in milliseconds.
_DATED: tuple[tuple[sa.Column[int], int], ...] = (
    (latest.c.received_at, clock.TOLERANCE_MS),
    (device_state.c.last_seen_at, clock.TOLERANCE_MS),
    (device_state.c.online_at, clock.TOLERANCE_MS),
    (device_state.c.connected_at, clock.TOLERANCE_MS),
    (device_state.c.metadata_at, clock.TOLERANCE_MS),
    (device_state.c.announced_at, clock.TOLERANCE_MS),
    (device_state.c.online_ts, clock.TOLERANCE_MS),
    (device_state.c.firmware_ts, clock.TOLERANCE_MS),
    (device_state.c.metadata_ts, clock.TOLERANCE_MS),
    (sequences.c.gap_since, clock.TOLERANCE_MS),
    (sequences.c.asked_at, clock.TOLERANCE_MS),
    (rotations.c.first_sent_at, clock.TOLERANCE_MS),
    (rotations.c.last_sent_at, clock.TOLERANCE_MS),
    (rotations.c.in_force_at, clock.TOLERANCE_MS),
    (processes.c.beat_at, clock.TOLERANCE_MS),
    (leases.c.until, clock.TOLERANCE_MS),  # held for 15 s at a time
    (credentials.c.created_at, clock.TOLERANCE_MS),  # its age says when it is rotated
    (credentials.c.proved_at, clock.TOLERANCE_MS),
    (broker_requests.c.created_at, clock.TOLERANCE_MS),
    (broker_events.c.at, clock.TOLERANCE_MS),  # else they are the newest for years
    (broker_changes.c.next_at, 3_600_000),  # postponed for minutes
    (downlinks.c.sent_at, clock.TOLERANCE_MS),
)

_COLUMNS: tuple[sa.Column[Any], ...] = (
    clocks.c.boot,
    clocks.c.wall,
    clocks.c.steady,
    clocks.c.trust,
    clocks.c.floor,
    clocks.c.off,
    clocks.c.since,
    clocks.c.lag,
    clocks.c.lag_since,
)


def _of_boot(connection: Connection, boot: str) -> Anchor | None:
    row = connection.execute(sa.select(*_COLUMNS).where(clocks.c.boot == boot)).first()
    return None if row is None else _anchor(row)


def _judge(connection: Connection, reading: Reading) -> Anchor:
    before, newest = _of_boot(connection, reading.boot), _newest(connection)
    after = clock.judge(before, newest, reading)
    if before is None:
        connection.execute(sa.insert(clocks).values(_values(after)))
        kept = sa.select(clocks.c.boot).order_by(clocks.c.wall.desc()).limit(BOOTS_MAX)
        connection.execute(
            sa.delete(clocks).where(
                clocks.c.boot.not_in(kept.scalar_subquery()), clocks.c.boot != reading.boot
            )
        )
    else:
        connection.execute(
            sa.update(clocks).where(clocks.c.boot == reading.boot).values(_values(after))
        )
    counted = before or newest
    first = counted is None and after.trust is not Trust.UNSET
    if first or (counted and after.wall < counted.wall - clock.TOLERANCE_MS):
        _leave_no_future(connection, after.wall)
    return after


def _leave_no_future(connection: Connection, at: int) -> None:
    """After the time went back: what was dated later counts as dated now. Otherwise it would
    hold off what is due, or hide what comes, until that time is reached again."""
    for column, beyond in _DATED:
        connection.execute(sa.update(column.table).where(column > at + beyond).values({column: at}))
    # What was asked for at a later time stays so; what is only tried again later does not.
    connection.execute(
        sa.update(downlinks)
        .where(downlinks.c.attempts > 0, downlinks.c.next_at > at + 3_600_000)
        .values(next_at=at)
    )


def _newest(connection: Connection) -> Anchor | None:
    row = connection.execute(sa.select(*_COLUMNS).order_by(clocks.c.wall.desc()).limit(1)).first()
    return None if row is None else _anchor(row)


def _is_news(before: Anchor, after: Anchor) -> bool:
    same = (before.trust, before.off, before.lag) == (after.trust, after.off, after.lag)
    return not same or not 0 <= after.steady - before.steady < WRITE_MS


def _anchor(row: sa.Row[Any]) -> Anchor:
    values = row._asdict()
    return Anchor(**{**values, "trust": Trust(values["trust"])})


def _values(anchor: Anchor) -> dict[str, str | int]:
    return {column.name: getattr(anchor, column.name) for column in _COLUMNS}
