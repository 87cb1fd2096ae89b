"""The newest values of one tenant, in the order in which they changed. Pure.

A stream is not a log: a client gets the newest value of each device, kind and metric. So what
was said before is forgotten as soon as it is replaced, and a client that comes back is sent the
entries that changed since. Entries and bytes have a bound: the ones that changed longest ago are
forgotten, and ``floor`` says up to which number that has happened.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from mooring.devices.reference import DeviceRef
from mooring.dialects.meaning import Scalar
from mooring.stream.model import Change, Key

__all__ = ["ENTRIES_MAX", "METRICS_MAX", "TEXT_MAX", "Entry", "Newest", "Value"]

ENTRIES_MAX = 10_000  # of one tenant: changes that can be resumed from
BYTES_MAX = 16_777_216  # of one tenant, about
METRICS_MAX = 512  # of one entry; the ones that changed longest ago go
TEXT_MAX = 256  # characters of a value or a metric's name; the rest is cut
_OVERHEAD = 200  # bytes of one value in memory, about


class Value(NamedTuple):
    """A metric's newest value: when it was measured, and the number of its change."""

    value: Scalar
    at: int
    number: int


@dataclass(slots=True, eq=False)
class Entry:
    """What is known of one key."""

    device: DeviceRef
    key: Key
    channel: str
    number: int = 0  # of its last change
    at: int = 0  # of its newest message
    values: dict[str, Value] = field(default_factory=dict)
    size: int = _OVERHEAD


class Newest:
    """Of one tenant; see above."""

    def __init__(self, *, entries_max: int = ENTRIES_MAX, bytes_max: int = BYTES_MAX) -> None:
        self.floor = 0
        """Up to this number changes may have been forgotten."""
        self.size = 0
        self._entries: OrderedDict[Key, Entry] = OrderedDict()
        self._entries_max, self._bytes_max = entries_max, bytes_max

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, change: Change, number: int) -> tuple[Entry, int] | None:
        """Takes a change in.

        Args:
            number: greater than that of every change before.

        Returns:
            The entry, and the number of the youngest value that was replaced, 0 where none was;
            ``None`` where nothing is new: what is known is newer, or the same.
        """
        key = change.key
        entry = self._entries.get(key)
        if entry is None or entry.device is not change.device:
            entry = Entry(change.device, key, change.channel)
        fresh = 0
        replaced = 0
        for name, value in change.values.items():
            metric = name[:TEXT_MAX]
            said = value[:TEXT_MAX] if isinstance(value, str) else value
            before = entry.values.get(metric)
            if before is not None:
                if before.at > change.at or (before.at == change.at and before.value == said):
                    continue
                replaced = max(replaced, before.number)
                del entry.values[metric]  # it goes to the end: the order is that of changes
            entry.values[metric] = Value(said, change.at, number)
            fresh += 1
        if not fresh and (change.values or change.at <= entry.at):
            return None
        while len(entry.values) > METRICS_MAX:
            del entry.values[next(iter(entry.values))]
        entry.channel, entry.number, entry.at = change.channel, number, max(entry.at, change.at)
        self._keep(entry)
        return entry, replaced

    def since(self, number: int) -> Iterator[Entry]:
        """Entries that changed after a number, the last one first."""
        for entry in reversed(self._entries.values()):
            if entry.number <= number:
                return
            yield entry

    def _keep(self, entry: Entry) -> None:
        former = self._entries.pop(entry.key, None)
        self.size -= 0 if former is None else former.size
        texts = sum(len(v.value) for v in entry.values.values() if isinstance(v.value, str))
        entry.size = _OVERHEAD * (1 + len(entry.values)) + texts
        self._entries[entry.key] = entry
        self.size += entry.size
        while self._entries and (
            len(self._entries) > self._entries_max or self.size > self._bytes_max
        ):
            _, gone = self._entries.popitem(last=False)
            self.size -= gone.size
            self.floor = max(self.floor, gone.number)
