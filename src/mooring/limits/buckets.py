"""How much devices and tenants may send, where the broker's plugin does not count it. Pure.

As in the plugin: a rate allows a burst of ``BURST_SECONDS``. What of the rate is not used is saved,
up to ``OFFLINE_SECONDS`` of it, for readings that a device kept while it was offline. Together they
are never more than the rate in the long run, whatever time a device writes into its messages.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

from mooring.identity.account import Quota

__all__ = [
    "BURST_SECONDS",
    "BYTES",
    "MESSAGES",
    "OFFLINE_SECONDS",
    "OF_TENANT",
    "OWNERS_MAX",
    "TENANT_SENDS",
    "Buckets",
]

BURST_SECONDS = 10
OFFLINE_SECONDS = 3600
OWNERS_MAX = 200_000
"""Devices and tenants remembered; the ones that were quiet longest are forgotten, and have full
buckets again."""

MESSAGES, BYTES = "limit_messages", "limit_bytes"
OF_TENANT = {MESSAGES: "limit_tenant_messages", BYTES: "limit_tenant_bytes"}
"""The same limits of a tenant: another device may have used them up."""
TENANT_SENDS = "The tenant of the device sends more"
"""Begins the detail of a dead letter for a limit of the tenant."""


class _Tokens:
    """Of messages or of bytes: for what is sent now, and saved for what was kept."""

    __slots__ = ("now", "saved")

    def __init__(self, rate: int) -> None:
        self.now = float(rate * BURST_SECONDS)
        self.saved = float(rate * OFFLINE_SECONDS)

    def refill(self, rate: int, seconds: float) -> None:
        """What does not fit in the burst is saved. A lower rate takes away what is above it."""
        full = rate * BURST_SECONDS
        held = self.now + seconds * rate
        self.now = min(full, held)
        gained = min(seconds * rate, max(0.0, held - full))
        self.saved = min(rate * OFFLINE_SECONDS, self.saved + gained)

    def missing(self, number: int, rate: int, *, kept: bool) -> float:
        """How many there are too few. One message may be larger than a full bucket."""
        if kept:
            return min(number, rate * OFFLINE_SECONDS) - self.saved
        return min(number, rate * BURST_SECONDS) - self.now

    def take(self, number: int, *, kept: bool) -> None:
        if kept:
            self.saved -= number
        else:
            self.now -= number


class _Bucket:
    """Tokens of one owner, and when they were counted, in milliseconds."""

    __slots__ = ("at", "bytes", "messages")

    def __init__(self, quota: Quota, now: int) -> None:
        self.messages = _Tokens(quota.messages or 0)
        self.bytes = _Tokens(quota.bytes or 0)
        self.at = now


class Buckets:
    """Token buckets by owner."""

    def __init__(self, owners_max: int = OWNERS_MAX) -> None:
        self._owners_max = owners_max
        self._held: OrderedDict[Hashable, _Bucket] = OrderedDict()

    def take(
        self,
        owner: Hashable,
        quota: Quota,
        messages: int,
        size: int,
        now: int,
        *,
        kept: bool = False,
    ) -> tuple[str, float] | None:
        """Takes messages with ``size`` bytes together, or nothing.

        A single message that is larger than a full bucket may go when the bucket is full.

        Args:
            now: epoch milliseconds; time that went back counts as none.
            kept: they were kept while the device was offline.

        Returns:
            ``None``: they may go; otherwise the limit, and the seconds until they may, if nothing
            else is sent.
        """
        if not quota.messages and not quota.bytes:
            return None
        bucket = self._held.get(owner)
        if bucket is None:
            bucket = self._held[owner] = _Bucket(quota, now)
            if len(self._held) > self._owners_max:
                self._held.popitem(last=False)
        else:
            self._held.move_to_end(owner)
        passed = max(0, now - bucket.at) / 1000
        bucket.at = now
        wanted = (
            (MESSAGES, bucket.messages, quota.messages or 0, messages),
            (BYTES, bucket.bytes, quota.bytes or 0, size),
        )
        for _, tokens, rate, _ in wanted:
            tokens.refill(rate, passed)
        for limit, tokens, rate, number in wanted:
            if rate and (missing := tokens.missing(number, rate, kept=kept)) > 0:
                # The rate fills the burst first.
                before = rate * BURST_SECONDS - tokens.now if kept else 0.0
                return limit, (missing + before) / rate
        if quota.messages:
            bucket.messages.take(messages, kept=kept)
        if quota.bytes:
            bucket.bytes.take(size, kept=kept)
        return None

    def give_back(self, owner: Hashable, messages: int, size: int, *, kept: bool = False) -> None:
        """What was taken is not sent after all."""
        bucket = self._held.get(owner)
        if bucket is not None:
            bucket.messages.take(-messages, kept=kept)
            bucket.bytes.take(-size, kept=kept)
