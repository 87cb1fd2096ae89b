"""The anchors of ``mooring.clock`` in the database: one row a boot.

``settle`` is called every few seconds by every process. A row is written when something has
changed, and otherwise at most every ``WRITE_MS`` by whichever process comes first.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring import clock
from mooring.clock import Anchor, Reading, Trust
from mooring.store.engine import Database
from mooring.store.schema import clocks

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
        with database.write() as connection:
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
    clock.install(anchor)
    return anchor


# ---------------------------------------------------------------------- inside

_COLUMNS = (
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
    before = _of_boot(connection, reading.boot)
    after = clock.judge(before, _newest(connection), reading)
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
    return after


def _newest(connection: Connection) -> Anchor | None:
    row = connection.execute(sa.select(*_COLUMNS).order_by(clocks.c.wall.desc()).limit(1)).first()
    return None if row is None else _anchor(row)


def _is_news(before: Anchor, after: Anchor) -> bool:
    same = (before.trust, before.off, before.lag) == (after.trust, after.off, after.lag)
    return not same or not 0 <= after.steady - before.steady < WRITE_MS


def _anchor(row: sa.Row[tuple[str, int, int, str, int, int, int, int, int]]) -> Anchor:
    boot, wall, steady, trust, *rest = row
    return Anchor(boot, wall, steady, Trust(trust), *rest)


def _values(anchor: Anchor) -> dict[str, str | int]:
    return {column.name: getattr(anchor, column.name) for column in _COLUMNS}
