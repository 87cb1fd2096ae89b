"""Which devices have changed since a version: what an index of all devices follows.

Each change of devices gets the next version, and one row that says which numbers it concerns.
Devices that are added together have numbers that follow on one another, so one row is enough for
any number of them. Only the newest changes are kept: an index with an older version reads every
device.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.dialects.model import Dialect
from mooring.store import versions
from mooring.store.schema import channels, device_changes

__all__ = [
    "CHANGES_KEPT",
    "Changed",
    "changed_since",
    "newest",
    "note",
    "note_dialects",
    "note_many",
]

CHANGES_KEPT = 10_000  # an index that is further behind reads every device

SPANS_MOST = 16  # versions that a change of many devices takes

_ADD = sa.insert(device_changes)
_TRIM = sa.delete(device_changes).where(device_changes.c.version <= sa.bindparam("upto"))
_SINCE = (
    sa.select(device_changes.c.version, device_changes.c.first_id, device_changes.c.last_id)
    .where(device_changes.c.version > sa.bindparam("version"))
    .order_by(device_changes.c.version)
)


@dataclass(frozen=True, slots=True)
class Changed:
    """What has changed.

    Attributes:
        version: the newest one.
        spans: first and last number of devices that were added, changed or removed; ``None``
            where it is not known any more.
    """

    version: int
    spans: tuple[tuple[int, int | None], ...] | None


def note(connection: Connection, first: int, last: int | None = None) -> None:
    """Notes in the caller's transaction that a device, or all numbers up to ``last``, were
    added, changed or removed."""
    # The row of the version is locked until the commit: versions are committed in their order.
    version = versions.bump(connection, "devices")
    connection.execute(
        _ADD, {"version": version, "first_id": first, "last_id": first if last is None else last}
    )
    connection.execute(_TRIM, {"upto": version - CHANGES_KEPT})


def note_many(connection: Connection, numbers: Iterable[int]) -> None:
    """Notes in the caller's transaction that these devices were changed, in few versions.

    Devices between two of them may be looked at, too.
    """
    for first, last in spans(sorted(numbers)):
        note(connection, first, last)


def spans(numbers: Sequence[int], most: int = SPANS_MOST) -> list[tuple[int, int]]:
    """Spans that contain all of these sorted numbers, with the largest gaps between them.

    Args:
        most: the maximum number of spans.
    """
    if not numbers:
        return []
    gaps = sorted(range(1, len(numbers)), key=lambda at: numbers[at - 1] - numbers[at])
    apart = [at for at in gaps[: most - 1] if numbers[at] - numbers[at - 1] > 1]
    cuts = [0, *sorted(apart), len(numbers)]
    return [(numbers[a], numbers[b - 1]) for a, b in pairwise(cuts)]


def note_dialects(connection: Connection, dialects: Iterable[Dialect]) -> None:
    """Notes in the caller's transaction that devices speak these dialects.

    The command line reads the files of dialects each time, running processes only after
    ``mooring dialect reload``. A dialect that ingest has never read is announced in the same
    way: otherwise the broker rejects its device, and its messages are lost.
    """
    names = {one.name for one in dialects if not one.source.startswith("builtin:")}
    if not names:
        return
    known = sa.select(channels.c.dialect).where(channels.c.dialect.in_(names)).distinct()
    if len(connection.execute(known).all()) < len(names):
        versions.bump(connection, "dialects")


def newest(connection: Connection) -> int:
    """The version of devices."""
    return versions.version(connection, "devices")


def changed_since(connection: Connection, version: int) -> Changed:
    """What has changed since a version; -1: nothing is known."""
    now = newest(connection)
    found = connection.execute(_SINCE, {"version": version}).all()
    # One that was committed meanwhile comes again with the next question.
    kept = [row for row in found if row.version <= now]
    if version < 0 or len(kept) != now - version:
        return Changed(now, None)
    return Changed(now, tuple((row.first_id, row.last_id) for row in kept))
