"""Brings an index of devices up to date with the database, in steps.

It is read once; after that a change costs its own size.
"""

from __future__ import annotations

from collections.abc import Iterator

from mooring.devices import changes, store
from mooring.devices.index import DeviceIndex
from mooring.store.engine import Database

__all__ = ["AT_ONCE", "follow"]

AT_ONCE = 500  # devices read in one step, about 7 ms; `store.span` reads their groups alone


def follow(index: DeviceIndex, database: Database) -> Iterator[None]:
    """Reads what has changed, a step at each turn of the iterator: between steps its caller can
    do other things. The index is up to date at the end.

    Raises:
        DatabaseUnavailable: it cannot be read now; what was read stays, and the next call begins
            where this one did.
    """
    with database.read() as connection:
        changed = changes.changed_since(connection, index.version)
    spans = changed.spans
    if spans is None:
        spans = ((1, None),)
    for first, last in spans:
        yield from _read(index, database, first, last)
    index.version = changed.version


def _read(index: DeviceIndex, database: Database, first: int, last: int | None) -> Iterator[None]:
    while last is None or first <= last:
        with database.read() as connection:
            some = store.span(connection, first, last, limit=AT_ONCE)
        upto = last if len(some) < AT_ONCE else some[-1].id
        there = {device.id for device in some}
        for number in index.numbers(first, upto):
            if number not in there:
                index.drop(number)
        for device in some:
            index.put(device)
        yield
        if upto is None:
            break
        first = upto + 1
