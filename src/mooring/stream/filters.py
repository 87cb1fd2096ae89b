"""Which topics the broker is asked for, counted by reference. Pure.

A filter that nobody uses any more lingers, so that a client that was disconnected for a moment
can continue where it was. Since when a filter has brought every message is its ``since``: the
number of the last change when the broker confirmed it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence

from mooring.devices.reference import DeviceRef
from mooring.dialects.model import Dialect, Direction, Identity
from mooring.stream.model import Wanted

__all__ = ["FILTERS_MAX", "LINGER_MS", "Filters", "filters_of", "filters_within"]

LINGER_MS = 600_000
FILTERS_MAX = 50_000  # of one process; lingering ones make room, then wider ones are used


def filters_of(
    wanted: Wanted, dialects: Iterable[Dialect], devices: Iterable[DeviceRef]
) -> frozenset[str]:
    """The filters that bring what a subscription is about, and possibly more.

    Args:
        devices: those that it names; not looked at where it names none.
    """
    found: set[str] = set()
    if wanted.devices is not None:
        for device in devices:
            for channel in device.dialect.channels:
                if channel.direction is Direction.UP and str(channel.kind) in wanted.kinds:
                    found.update(channel.addresses(device.identity))
        return frozenset(found)
    anyone = Identity(wanted.tenant or "+", "+", "+")
    for dialect in dialects:
        for channel in dialect.channels:
            if (
                channel.direction is Direction.UP
                and not channel.operator_only
                and str(channel.kind) in wanted.kinds
            ):
                topic = channel.address(anyone, group="+")
                if topic is not None:
                    found.add(topic)
    return frozenset(found)


def filters_within(
    room: int, wanted: Wanted, dialects: Sequence[Dialect], devices: Iterable[DeviceRef]
) -> frozenset[str]:
    """As ``filters_of``; where that needs more than ``room``, the few filters of every device that
    the login sees. They bring more than is wanted, and what is not is not passed on."""
    found = filters_of(wanted, dialects, devices)
    if len(found) <= room:
        return found
    return filters_of(Wanted(wanted.tenant, None, wanted.kinds), dialects, ())


class Filters:
    """Those of one process."""

    def __init__(self) -> None:
        self._uses: dict[str, int] = {}
        self._since: dict[str, int] = {}
        self._lingering: OrderedDict[str, int] = OrderedDict()  # with the time of its end
        self._new: set[str] = set()
        self._gone: set[str] = set()

    def __len__(self) -> int:
        return len(self._uses) + len(self._lingering)

    @property
    def used(self) -> bool:
        """Whether anybody wants any."""
        return bool(self._uses)

    @property
    def room(self) -> int:
        """How many more there may be, without those that linger."""
        return FILTERS_MAX - len(self._uses)

    def changes(self) -> tuple[list[str], list[str]]:
        """What is new and what is gone since the last call."""
        new, gone = list(self._new), list(self._gone)
        self._new.clear()
        self._gone.clear()
        return new, gone

    def take(self, filters: Iterable[str]) -> bool:
        """Somebody wants them; whether one of them is new to the broker."""
        new = False
        for one in filters:
            if one in self._uses:
                self._uses[one] += 1
                continue
            self._uses[one] = 1
            if self._lingering.pop(one, None) is None:
                new = True
                self._new.add(one)
                self._gone.discard(one)
        while self._lingering and len(self) > FILTERS_MAX:
            self._forget(next(iter(self._lingering)))
        return new

    def give(self, filters: Iterable[str], now: int) -> None:
        """Somebody does not want them any more.

        Args:
            now: epoch milliseconds.
        """
        for one in filters:
            left = self._uses[one] - 1
            if left:
                self._uses[one] = left
            else:
                del self._uses[one]
                self._lingering[one] = now + LINGER_MS

    def expire(self, now: int) -> bool:
        """Forgets those that have lingered long enough; whether there were any."""
        over = [one for one, until in self._lingering.items() if until <= now]
        for one in over:
            self._forget(one)
        return bool(over)

    def all(self) -> list[str]:
        """What the broker is to send."""
        return [*self._uses, *self._lingering]

    def confirmed(self, filters: Iterable[str], number: int) -> None:
        """The broker sends these from now on; ``number``: of the last change so far."""
        for one in filters:
            if one in self._uses or one in self._lingering:
                self._since.setdefault(one, number)

    def lost(self) -> None:
        """The broker has stopped sending."""
        self._since.clear()

    def since(self, filters: Iterable[str]) -> int | None:
        """The number from which on all of them have brought every message; ``None``: not all of
        them do now."""
        oldest = 0
        for one in filters:
            number = self._since.get(one)
            if number is None:
                return None
            oldest = max(oldest, number)
        return oldest

    def _forget(self, one: str) -> None:
        self._lingering.pop(one, None)
        self._since.pop(one, None)
        self._new.discard(one)
        self._gone.add(one)
