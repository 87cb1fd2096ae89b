"""Keeps tenants within their limits of stored bytes: the oldest of that tenant goes first.

New messages are always stored: a device that was acknowledged must find its newest reading. What
goes is counted (``tenant_usage``, ``messages_displaced``) and announced by alerts before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sqlalchemy.engine import Connection

from mooring.limits import storage_store
from mooring.limits.storage_store import Full
from mooring.retention import store
from mooring.retention import tidy_store as tidy
from mooring.rollups.queue import count
from mooring.settings import Settings
from mooring.store import usage
from mooring.store.engine import Database
from mooring.store.usage import DAY_MS

__all__ = ["dead_letters", "messages"]

HOUR_MS = 3_600_000  # within a day the devices of a tenant lose the same hours
DEVICES = 200  # in one statement
DAYS = 500  # looked at together
PIECE = 1_000  # rows in one transaction
ROOM_PERCENT = 1  # of the limit that is made free, so that not every batch finds it reached

Add = Callable[[str, int], None]


def messages(database: Database, settings: Settings, now: int, add: Add) -> Iterator[None]:
    """Deletes the oldest messages of tenants above their limit; yields after each transaction.

    A message that no roll-up holds yet stays, as with every deletion.
    """
    with database.read() as connection:
        full = storage_store.messages_over(connection, settings.tenant_stored_bytes_max)
    yield
    for tenant in full:
        yield from _oldest_of(database, tenant, now, add)


def _oldest_of(database: Database, full: Full, now: int, add: Add) -> Iterator[None]:
    left = full.bytes - full.most * (100 - ROOM_PERCENT) // 100
    with database.read() as connection:
        owners = store.devices_of(connection, full.tenant)
    tenants = dict.fromkeys(owners, full.tenant)
    some = [owners[start : start + DEVICES] for start in range(0, len(owners), DEVICES)]
    day = -1
    while left > 0:
        with database.read() as connection:
            days = usage.days_after(connection, full.tenant, day, DAYS)
        if not days:
            return
        day, spans = _oldest(days, left)
        for start, end in spans:
            for devices in some:
                while left > 0:
                    # No more than necessary, about.
                    piece = max(1, min(PIECE, -(-left * full.messages // full.bytes)))
                    with database.write() as connection:
                        gone = store.delete_oldest_of(
                            connection,
                            devices,
                            start,
                            end,
                            piece,
                            before_id=store.not_rolled_up_from(connection),
                            before=store.oldest_waiting(connection),
                        )
                        freed = _note(connection, gone, tenants, full.tenant, now)
                    left -= freed
                    add("messages", len(gone))
                    yield
                    if len(gone) < piece:
                        break


def _oldest(days: list[tuple[int, int]], left: int) -> tuple[int, list[tuple[int, int]]]:
    """What is looked at next: the days that go as a whole, together; otherwise the first day, by
    the hour. A device may send a message of each day there was, and none of them costs a
    transaction of its own.

    Args:
        days: each with its bytes, oldest first.
        left: bytes to delete.

    Returns:
        The last of these days, and spans of time.
    """
    first, last = days[0][0], None
    for day, size in days:
        left -= size
        if left < 0:
            break
        last = day
    if last is not None:
        return last, [(first * DAY_MS, (last + 1) * DAY_MS)]
    start = first * DAY_MS
    return first, [(hour, hour + HOUR_MS) for hour in range(start, start + DAY_MS, HOUR_MS)]


def _note(
    connection: Connection,
    gone: list[store.Gone],
    tenants: dict[int, str],
    tenant: str,
    now: int,
) -> int:
    if not gone:
        return 0
    sums = usage.of_sizes(gone, tenants)
    number, size = usage.by_tenant(sums)[tenant]
    usage.subtract(connection, sums)
    usage.displaced(connection, tenant, number, size, now)
    count(connection, "messages_displaced", number)
    return size


def dead_letters(database: Database, settings: Settings, add: Add) -> Iterator[None]:
    """Of a tenant whose dead letters take more than its limit, the device with most of them
    loses half of its own, until it is enough."""
    with database.read() as connection:
        full = storage_store.dead_letters_over(connection, settings.tenant_dead_letter_bytes_max)
    yield
    for tenant in full:
        left = tenant.bytes - tenant.most
        while left > 0:
            with database.read() as connection:
                largest = tidy.largest_of(connection, tenant.tenant, DEVICES)
            freed = deleted = 0
            for device, rows in largest:
                surplus = max(1, rows // 2)
                while surplus > 0 and freed < left:
                    with database.write() as connection:
                        gone, size = tidy.delete_oldest_letters(
                            connection, tenant.tenant, device, min(surplus, PIECE)
                        )
                        count(connection, "dead_letters_displaced", gone)
                    freed += size
                    deleted += gone
                    add("dead_letters", gone)
                    surplus = surplus - gone if gone else 0
                    yield
            if not deleted:
                break
            left -= freed
