"""The newest values of every tenant, and the readers of each change. Pure.

Failure invariant: a change that could not be taken in has changed nothing; the numbers of changes
only grow.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Iterator

from mooring.stream.model import Change, Wanted
from mooring.stream.newest import Entry, Newest
from mooring.stream.reader import Reader

__all__ = ["TENANTS_MAX", "Journal"]

TENANTS_MAX = 1_000  # whose newest values are kept; the one that was silent longest goes
BYTES_MAX = 134_217_728  # of all tenants together, about


class Journal:
    """Of one process."""

    def __init__(self, *, tenants_max: int = TENANTS_MAX, bytes_max: int = BYTES_MAX) -> None:
        self.number = 0
        """Of the last change."""
        self._floor = 0  # of tenants that were forgotten
        self._tenants: OrderedDict[str, Newest] = OrderedDict()
        self._tenants_max, self._bytes_max = tenants_max, bytes_max
        self._size = 0
        self._of_device: defaultdict[int, set[Reader]] = defaultdict(set)
        self._of_tenant: defaultdict[str | None, set[Reader]] = defaultdict(set)

    # ------------------------------------------------------------------ readers

    def add(self, reader: Reader) -> None:
        """It is noted of every change that it wants from now on."""
        for where in self._places(reader.wanted):
            where.add(reader)

    def drop(self, reader: Reader) -> None:
        """It is not any more."""
        for where in self._places(reader.wanted):
            where.discard(reader)
        for devices in (reader.wanted.devices or (),):
            for number in devices:
                if not self._of_device[number]:
                    del self._of_device[number]
        if not self._of_tenant[reader.wanted.tenant]:
            del self._of_tenant[reader.wanted.tenant]

    def readers(self, device_id: int, tenant: str) -> Iterator[Reader]:
        """Those that may want changes of a device."""
        yield from self._of_device.get(device_id, ())
        yield from self._of_tenant.get(tenant, ())
        yield from self._of_tenant.get(None, ())

    def _places(self, wanted: Wanted) -> list[set[Reader]]:
        if wanted.devices is None:
            return [self._of_tenant[wanted.tenant]]
        return [self._of_device[number] for number in wanted.devices]

    # ------------------------------------------------------------------ changes

    def take(self, change: Change) -> list[Reader]:
        """Takes a change in; the readers that have something to send now."""
        tenant = change.device.tenant
        newest = self._tenants.get(tenant)
        if newest is None:
            newest = self._tenants[tenant] = Newest()
        else:
            self._tenants.move_to_end(tenant)
        before = newest.size
        taken = newest.put(change, self.number + 1)
        self._size += newest.size - before
        if taken is None:
            return []
        self.number += 1
        self._shrink()
        entry, replaced = taken
        woken = []
        for reader in self.readers(change.device.id, tenant):
            if reader.wanted.covers(change.device, change.kind):
                reader.note(entry, replaced)
                woken.append(reader)
        return woken

    def knows_since(self, wanted: Wanted, number: int) -> bool:
        """Whether no change after a number has been forgotten that a subscription is about."""
        if number < self._floor:
            return False
        if wanted.tenant is not None:
            newest = self._tenants.get(wanted.tenant)
            return newest is None or newest.floor <= number
        return all(newest.floor <= number for newest in self._tenants.values())

    def since(self, wanted: Wanted, number: int) -> list[Entry]:
        """Entries that changed after a number, the last one of each tenant first."""
        if wanted.tenant is not None:
            newest = self._tenants.get(wanted.tenant)
            return [] if newest is None else list(newest.since(number))
        return [entry for newest in self._tenants.values() for entry in newest.since(number)]

    def clear(self) -> None:
        """Forgets every value; numbers continue, so no client believes that it knows them."""
        self._tenants.clear()
        self._size, self._floor = 0, self.number

    def _shrink(self) -> None:
        while len(self._tenants) > self._tenants_max or (
            self._size > self._bytes_max and len(self._tenants) > 1
        ):
            _, gone = self._tenants.popitem(last=False)
            self._size -= gone.size
            self._floor = self.number
