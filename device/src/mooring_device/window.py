"""Which readings are on their way, and which of them to send again.

Pure: sequence numbers and times in (seconds of any steady clock), decisions out. It knows
nothing of topics or sockets. The window bounds what may be lost in a broker that dies and
what it must hold while the platform is away. A reading that gets no receipt in time is sent
again, at intervals that double, so that a platform that is down for a night does not find
a thousand copies of each.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mooring_device.ranges import Ranges, compress

__all__ = ["Flight", "Window"]


@dataclass
class Flight:
    """One reading on its way: when it was last sent, and how often."""

    sent_at: float
    times: int = 1


class Window:
    """The readings sent and not yet released.

    Args:
        size: how many may be on their way at once.
        timeout: seconds until the first repeat.
        cap: the longest time between repeats, in seconds.
    """

    def __init__(self, size: int = 200, timeout: float = 30.0, cap: float = 900.0) -> None:
        if size < 1 or timeout <= 0 or cap < timeout:
            raise ValueError("a window needs size >= 1 and 0 < timeout <= cap")
        self.size = size
        self.timeout = timeout
        self.cap = cap
        self._flights: dict[int, Flight] = {}
        self._asked: set[int] = set()
        self._next_due = float("inf")  # nothing is due before this

    def __len__(self) -> int:
        return len(self._flights)

    def __contains__(self, seq: int) -> bool:
        return seq in self._flights

    @property
    def room(self) -> int:
        """How many more may be sent now."""
        return max(0, self.size - len(self._flights))

    @property
    def ranges(self) -> Ranges:
        """What is on its way."""
        return compress(sorted(self._flights))

    def sent(self, seq: int, now: float) -> None:
        """Note that ``seq`` goes out, for the first time or again."""
        flight = self._flights.get(seq)
        self._asked.discard(seq)
        if flight is None:
            flight = self._flights[seq] = Flight(now)
        else:
            flight.sent_at = now
            flight.times += 1
        self._next_due = min(self._next_due, now + self.wait_of(flight))

    def release(self, ranges: Ranges) -> list[int]:
        """Take out what a receipt or PUBACK covers; answers with what was taken out."""
        gone = self._among(ranges)
        self.forget(gone)
        return gone

    def forget(self, seqs: Iterable[int]) -> None:
        """Take out single numbers, such as those dropped from the queue meanwhile."""
        for seq in seqs:
            self._flights.pop(seq, None)
            self._asked.discard(seq)

    def ask(self, ranges: Ranges) -> None:
        """The platform asked for these: those on their way are due at once."""
        self._asked.update(self._among(ranges))

    def _among(self, ranges: Ranges) -> list[int]:
        flights, found = self._flights, []
        for first, last in ranges:
            if last - first < len(flights):
                found += [seq for seq in range(first, last + 1) if seq in flights]
            else:
                found += [seq for seq in flights if first <= seq <= last]
        return found

    def wait_of(self, flight: Flight) -> float:
        """Seconds from the last sending to the next."""
        return min(self.cap, self.timeout * 2.0 ** min(flight.times - 1, 62))

    def due(self, now: float) -> list[int]:
        """What is to be sent again now, in rising order."""
        if now < self._next_due and not self._asked:
            return []
        due, self._next_due = [], float("inf")
        for seq, flight in self._flights.items():
            at = flight.sent_at + self.wait_of(flight)
            if seq in self._asked or now >= at:
                due.append(seq)
                at = now  # it stays due until it is sent
            self._next_due = min(self._next_due, at)
        return sorted(due)

    def clear(self) -> None:
        """The connection is gone: everything unreleased is to be sent again from the queue."""
        self._flights.clear()
        self._asked.clear()
        self._next_due = float("inf")
