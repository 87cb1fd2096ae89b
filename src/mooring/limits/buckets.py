"""How much devices and tenants may send, where the broker's plugin does not count it. Pure.

As in the plugin: a rate allows a burst of ``BURST_SECONDS``. Readings that a device kept while it
was offline have an allowance of their own, as large as what it may send in ``OFFLINE_SECONDS``.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

from mooring.identity.account import Quota

__all__ = ["BURST_SECONDS", "OFFLINE_SECONDS", "OWNERS_MAX", "Buckets"]

BURST_SECONDS = 10
OFFLINE_SECONDS = 3600
OWNERS_MAX = 200_000
"""Devices and tenants remembered; the ones that were quiet longest are forgotten, and have a full
bucket again."""

MESSAGES, BYTES = "limit_messages", "limit_bytes"


class _Bucket:
    """Tokens of messages and bytes, and when they were counted, in milliseconds."""

    __slots__ = ("at", "bytes", "messages")

    def __init__(self, quota: Quota, seconds: int, now: int) -> None:
        self.messages = float((quota.messages or 0) * seconds)
        self.bytes = float((quota.bytes or 0) * seconds)
        self.at = now


class Buckets:
    """Token buckets by owner.

    Args:
        seconds: of the rate that a full bucket holds.
    """

    def __init__(self, seconds: int = BURST_SECONDS, owners_max: int = OWNERS_MAX) -> None:
        self._seconds, self._owners_max = seconds, owners_max
        self._held: OrderedDict[Hashable, _Bucket] = OrderedDict()

    def take(
        self, owner: Hashable, quota: Quota, messages: int, size: int, now: int
    ) -> tuple[str, float] | None:
        """Takes messages with ``size`` bytes together, or nothing.

        A single message that is larger than a full bucket may go when the bucket is full.

        Args:
            now: epoch milliseconds; time that went back counts as none.

        Returns:
            ``None``: they may go; otherwise the limit, and the seconds until they may.
        """
        if not quota.messages and not quota.bytes:
            return None
        bucket = self._held.get(owner)
        if bucket is None:
            bucket = self._held[owner] = _Bucket(quota, self._seconds, now)
            if len(self._held) > self._owners_max:
                self._held.popitem(last=False)
        else:
            self._held.move_to_end(owner)
        passed = max(0, now - bucket.at) / 1000
        bucket.at = now
        full_messages = (quota.messages or 0) * self._seconds
        full_bytes = (quota.bytes or 0) * self._seconds
        bucket.messages = min(full_messages, bucket.messages + passed * (quota.messages or 0))
        bucket.bytes = min(full_bytes, bucket.bytes + passed * (quota.bytes or 0))
        if quota.messages:
            missing = min(messages, full_messages) - bucket.messages
            if missing > 0:
                return MESSAGES, missing / quota.messages
        if quota.bytes:
            missing = min(size, full_bytes) - bucket.bytes
            if missing > 0:
                return BYTES, missing / quota.bytes
        if quota.messages:
            bucket.messages -= messages
        if quota.bytes:
            bucket.bytes -= size
        return None

    def give_back(self, owner: Hashable, messages: int, size: int) -> None:
        """What was taken is not sent after all."""
        bucket = self._held.get(owner)
        if bucket is not None:
            bucket.messages += messages
            bucket.bytes += size
