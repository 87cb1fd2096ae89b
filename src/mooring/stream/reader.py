"""What one subscription has not been sent yet. Pure.

A change marks its entry; the values are read when they are sent. So a client that reads slowly
costs a mark for each entry that changed, not a message for each change, and gets the newest
values and a count of those it missed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from mooring.dialects.times import iso
from mooring.stream.model import Key, Wanted
from mooring.stream.newest import Entry

__all__ = ["ITEMS_MAX", "MARKS_MAX", "Reader", "item"]

MARKS_MAX = 8_192  # about 1 MiB; with more, the client is sent everything again
ITEMS_MAX = 200  # in one message
METRICS_AT_ONCE = 5_000  # in one message, about 256 KiB


class Reader:
    """One subscription.

    Args:
        id: the client's name for it.
        wanted: what it is about.
        number: the last change that the client knows.
        wake: called when there is something to send.
    """

    def __init__(
        self,
        id: str,
        wanted: Wanted,
        number: int = 0,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self.wake = wake
        self.id = id
        self.wanted = wanted
        self.number = number
        self.missed = 0
        self.lost = False
        """More has changed than could be marked: the client needs a new snapshot."""
        self._marks: dict[Key, tuple[Entry, int]] = {}  # with the first change not sent

    def __bool__(self) -> bool:
        """Whether there is something to send."""
        return bool(self._marks)

    @property
    def marks(self) -> int:
        return len(self._marks)

    def note(self, entry: Entry, replaced: int = 0) -> None:
        """An entry has changed.

        Args:
            replaced: the youngest value that was replaced; see ``Newest.put``.
        """
        if self.lost:
            self.missed += 1
            return
        mark = self._marks.get(entry.key)
        if mark is None or mark[0] is not entry:
            if len(self._marks) >= MARKS_MAX:
                self.missed += len(self._marks) + 1
                self._marks.clear()
                self.lost = True
                return
            self._marks[entry.key] = (entry, entry.number)
        elif replaced >= mark[1]:
            self.missed += 1

    def catch_up(self, entries: Iterable[Entry]) -> None:
        """Marks what changed since ``number``; ``entries`` as ``Newest.since`` gives them."""
        for entry in reversed(list(entries)):
            if self.wanted.covers(entry.device, entry.key.kind) and not self.lost:
                self.note(entry)
                if entry.key in self._marks:
                    self._marks[entry.key] = (entry, self.number + 1)

    def restart(self, number: int) -> None:
        """A snapshot that holds everything up to a number is sent next."""
        self._marks.clear()
        self.lost, self.number = False, number

    def take(self, number: int) -> tuple[list[dict[str, Any]], int]:
        """The next items, and how many values were replaced before they were sent.

        Args:
            number: the last change so far; the client knows it when nothing is left.
        """
        items: list[dict[str, Any]] = []
        metrics = 0
        while self._marks and len(items) < ITEMS_MAX and metrics < METRICS_AT_ONCE:
            key = next(iter(self._marks))
            entry, first = self._marks.pop(key)
            items.append(item(entry, first))
            metrics += len(items[-1]["values"])
        if not self._marks:
            self.number = number
        missed, self.missed = self.missed, 0
        return items, missed


def item(entry: Entry, first: int = 0) -> dict[str, Any]:
    """What a client gets of an entry: the values that changed with or after a number."""
    fresh = [(name, value) for name, value in entry.values.items() if value.number >= first]
    at = max((value.at for _, value in fresh), default=entry.at)
    found: dict[str, Any] = {
        "device": entry.device.name,
        "tenant": entry.device.tenant,
        "kind": entry.key.kind,
        "channel": entry.channel,
        "at": iso(at),
        "values": {name: value.value for name, value in fresh},
    }
    if entry.key.name:
        found["name"] = entry.key.name
    return found
