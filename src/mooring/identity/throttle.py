"""How often somebody may be wrong: each account, each address, and all together. In memory.

Pure apart from a clock that can be given. Failures count, successes do not: a login that is
right takes back its own attempt and nothing else, so an attacker's own account does not pay
for guesses at another one. A rejection costs no database work.

Limits that several addresses share (one account's, and the one for all together) apply only to
addresses that have failed in the last minute. So nobody can use them up for others: an address
without a failure always has one attempt.

Every table is bounded; the entry that was quiet longest is dropped first. Each process counts
for itself.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from typing import TypeVar

from mooring.settings import Settings

__all__ = [
    "ENTRIES_MAX",
    "WINDOW_SECONDS",
    "Attempt",
    "Limits",
    "Throttle",
    "Throttles",
    "network_of",
]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

WINDOW_SECONDS = 60.0
ENTRIES_MAX = 10_000  # of each table
OWN_PREFIX, WIDE_PREFIX = 64, 48  # IPv6: what one host has, and what one site has
NO_LIMIT = 1 << 62

ACCOUNT_FACTOR = 5  # one person's account may fail this many times as often as from one address
ALL_FACTOR = 20  # and all accounts together
DEVICES_FACTOR = 20  # all devices behind one address may fail this many times as often as one
AT_ONCE_MAX = 40  # attempts of devices from one address in progress: as many as there are threads


@dataclass(frozen=True, slots=True)
class Limits:
    """Failures in a minute.

    Attributes:
        each: of one account from one address.
        address: from one address; an account that has succeeded from there is exempt.
        account: of one account from all addresses that have failed.
        all: from all addresses that have failed together.
        at_once: attempts from one address that may run at the same time beyond ``address``,
            since they are counted only when they have failed.
    """

    each: int
    address: int
    account: int = NO_LIMIT
    all: int = NO_LIMIT
    at_once: int = 0


class Attempt:
    """One attempt in progress; without an outcome it counts as neither."""

    def __init__(self, throttle: Throttle, address: str, account: str) -> None:
        self._throttle = throttle
        self.network = network_of(address)
        self.wide = network_of(address, WIDE_PREFIX)
        self.account = hash(account) if account else None  # of a secret in the wrong field, too
        self.over = False

    def succeeded(self) -> None:
        """The secret was right."""
        if not self.over:
            self.over = True
            self._throttle._succeeded(self)

    def failed(self) -> None:
        """The secret was wrong."""
        if not self.over:
            self.over = True
            self._throttle._failed(self)


class Throttle:
    """Sliding windows of one minute; safe from any thread.

    Args:
        limits: what is allowed.
        clock: seconds that never go backwards.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: OrderedDict[Hashable, deque[float]] = OrderedDict()
        self._last: OrderedDict[str, float] = OrderedDict()  # wide network → its last failure
        self._known: OrderedDict[Hashable, None] = OrderedDict()  # (account, network): was right
        self._running: dict[str, int] = {}  # network → attempts without an outcome yet

    @contextmanager
    def attempt(
        self, address: str, account: str = "", *, refuse: Callable[[int], Exception]
    ) -> Iterator[Attempt]:
        """One attempt; the block says how it ended.

        Args:
            refuse: makes the error to raise from the whole seconds to wait.
        """
        one = Attempt(self, address, account)
        with self._lock:
            wait = self._wait(one)
            if not wait:
                self._running[one.network] = self._running.get(one.network, 0) + 1
        if wait:
            raise refuse(int(-(-wait // 1)))
        try:
            yield one
        finally:
            one.over = True
            with self._lock:
                left = self._running[one.network] - 1
                if left:
                    self._running[one.network] = left
                else:
                    del self._running[one.network]

    def _wait(self, one: Attempt) -> float:
        """Seconds until this attempt may be made; 0: now."""
        now, limits = self._clock(), self.limits
        running = self._running.get(one.network, 0)
        pair = (one.account, one.network)
        wait = self._left(pair, limits.each, now, max(0, running - limits.at_once))
        if one.account is not None and pair in self._known:
            return wait
        wait = max(
            wait, self._left(one.network, limits.address, now, max(0, running - limits.at_once))
        )
        if self._last.get(one.wide, float("-inf")) > now - WINDOW_SECONDS:
            wait = max(wait, self._left("", limits.all, now))
            if one.account is not None:
                wait = max(wait, self._left((one.account,), limits.account, now))
        return wait

    def _left(self, key: Hashable, limit: int, now: float, running: int = 0) -> float:
        times = self._failures.get(key) or deque()
        while times and times[0] <= now - WINDOW_SECONDS:
            times.popleft()
        if len(times) + running < limit:
            return 0.0
        return times[0] + WINDOW_SECONDS - now if times else 1.0

    def _succeeded(self, one: Attempt) -> None:
        if one.account is None:
            return
        with self._lock:
            _remember(self._known, (one.account, one.network), None)

    def _failed(self, one: Attempt) -> None:
        limits, now = self.limits, self._clock()
        counted: list[tuple[Hashable, int]] = [(one.network, limits.address), ("", limits.all)]
        if one.account is not None:
            counted.append(((one.account, one.network), limits.each))
            counted.append(((one.account,), limits.account))
        with self._lock:
            _remember(self._last, one.wide, now)
            for key, limit in counted:
                if limit < NO_LIMIT:
                    times = self._failures.get(key)
                    if times is None:
                        times = deque(maxlen=limit)
                    times.append(now)
                    _remember(self._failures, key, times)


def network_of(address: str, prefix: int = OWN_PREFIX) -> str:
    """What counts as one: an IPv4 address, or an IPv6 network of this length."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ip_network((parsed, prefix), strict=False))
    return str(parsed)


def _remember(table: OrderedDict[K, V], key: K, value: V) -> None:
    table[key] = value
    table.move_to_end(key)
    while len(table) > ENTRIES_MAX:
        table.popitem(last=False)


class Throttles:
    """The throttles of one process.

    Attributes:
        people: logins of people.
        claims: claim codes.
        recoveries: former passwords of devices.
        devices: logins of devices over HTTP.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        person = settings.login_attempts_per_minute
        code = settings.claim_attempts_per_minute
        device = settings.device_login_attempts_per_minute
        codes = Limits(code, code, all=settings.claim_attempts_all_per_minute, at_once=AT_ONCE_MAX)
        self.people = Throttle(
            Limits(person, person, ACCOUNT_FACTOR * person, ALL_FACTOR * person), clock
        )
        self.claims = Throttle(codes, clock)
        self.recoveries = Throttle(codes, clock)
        self.devices = Throttle(Limits(device, DEVICES_FACTOR * device, at_once=AT_ONCE_MAX), clock)
