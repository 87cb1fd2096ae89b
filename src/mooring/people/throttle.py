"""How often a login may fail: for each address, and for all together. Pure; no clock.

An attempt is counted before the password is looked at and taken back when it was right, so
that many at once cannot slip through. Memory is bounded; the address that was quiet longest
is forgotten first. When strangers use up what all together may, addresses that have logged
in before are still let in. Each ``serve`` process counts for itself.
"""

from __future__ import annotations

import ipaddress
import threading
from collections import OrderedDict, deque

__all__ = ["Throttle"]

WINDOW_MS = 60_000
ALL_FACTOR = 20  # all addresses together may fail this many times as often as one
ADDRESSES_MAX = 10_000


class Throttle:
    """Sliding one-minute windows.

    Args:
        per_address: failures in a minute from one address (an IPv6 /64 counts as one).
    """

    def __init__(self, per_address: int) -> None:
        self.per_address = per_address
        self.all = per_address * ALL_FACTOR
        self._lock = threading.Lock()
        self._failed: OrderedDict[str, deque[int]] = OrderedDict()
        self._everyone: deque[int] = deque(maxlen=self.all)
        self._known: OrderedDict[str, None] = OrderedDict()

    def begin(self, address: str, at_ms: int) -> int:
        """Counts an attempt. Returns 0, or the milliseconds to wait when it may not be made."""
        key = _network(address)
        with self._lock:
            mine = self._failed.setdefault(key, deque(maxlen=self.per_address))
            self._failed.move_to_end(key)
            while len(self._failed) > ADDRESSES_MAX:
                self._failed.popitem(last=False)
            wait = _wait(mine, self.per_address, at_ms)
            if not wait and key not in self._known:
                wait = _wait(self._everyone, self.all, at_ms)
            if not wait:
                mine.append(at_ms)
                self._everyone.append(at_ms)
            return wait

    def succeeded(self, address: str, at_ms: int) -> None:
        """The attempt begun at ``at_ms`` was right: it is taken back."""
        key = _network(address)
        with self._lock:
            self._failed.pop(key, None)
            if at_ms in self._everyone:
                self._everyone.remove(at_ms)
            self._known[key] = None
            self._known.move_to_end(key)
            while len(self._known) > ADDRESSES_MAX:
                self._known.popitem(last=False)


def _wait(times: deque[int], limit: int, at_ms: int) -> int:
    while times and times[0] <= at_ms - WINDOW_MS:
        times.popleft()
    return times[0] + WINDOW_MS - at_ms if len(times) >= limit else 0


def _network(address: str) -> str:
    """Somebody with one IPv6 network has 2**64 addresses; they count as one."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
