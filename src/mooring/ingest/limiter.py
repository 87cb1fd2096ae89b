"""Limits of messages and bytes per second where the broker does not keep them.

Without Mooring's plugin the broker has acknowledged a message before anybody counts it. One above
the limit becomes a dead letter that says so: it is counted and listed.
"""

from __future__ import annotations

from collections.abc import Mapping

from mooring.devices import limit_store
from mooring.identity.account import NO_QUOTA, Quota
from mooring.limits.buckets import BYTES, OF_TENANT, OWNERS_MAX, Buckets
from mooring.store.engine import Database

__all__ = ["CREDIT_PARTS", "KEPT_MS", "REFRESH_SECONDS", "Limiter"]

REFRESH_SECONDS = 5.0  # in which a changed limit is applied
KEPT_MS = 60_000
"""A reading whose own time is older was kept by a device that was offline: it is counted against
what the device has not used of its rate."""
CREDIT_PARTS = 16
"""Where devices have a limit of bytes only, this part of a second is taken at once: most messages
then cost a subtraction."""
_ALL = (0, 2**63 - 1)


class Limiter:
    """The buckets of one ingest process.

    Args:
        quota, tenant_quota: of a device and a tenant without their own.
    """

    def __init__(self, quota: Quota, tenant_quota: Quota) -> None:
        self._quota = limit_store.in_force(NO_QUOTA, quota)
        self._tenant_quota = limit_store.in_force(NO_QUOTA, tenant_quota)
        # In force, of those with limits of their own.
        self._devices: Mapping[int, Quota] = {}
        self._tenants: Mapping[str, Quota] = {}
        self._buckets = Buckets()
        self._credit: dict[int, int] = {}  # device → bytes taken and not used
        self._credits = 0  # bytes taken at once; 0: each message is counted
        self.active = False
        self._use()

    def refresh(self, database: Database) -> None:
        """Reads the limits that devices and tenants have of their own."""
        with database.read() as connection:
            devices = limit_store.of_devices(connection, span=_ALL)
            tenants = limit_store.of_tenants(connection)
        in_force = limit_store.in_force
        self._devices = {id_: in_force(own, self._quota) for id_, own in devices.items()}
        self._tenants = {name: in_force(own, self._tenant_quota) for name, own in tenants.items()}
        self._use()

    def refuses(self, device: int, tenant: str, size: int, *, age: int, now: int) -> str | None:
        """Counts a message; the limit that it exceeds.

        Args:
            size: bytes of topic and payload.
            age: milliseconds since the device's own time of the message.
            now: epoch milliseconds.
        """
        kept = age > KEPT_MS
        if self._credits and not kept:
            left = self._credit.get(device, 0) - size
            if left >= 0:
                self._credit[device] = left
                return None
            if device not in self._devices:
                return self._draw(device, size, now)
        of_device = self._devices.get(device, self._quota)
        of_tenant = self._tenants.get(tenant, self._tenant_quota)
        take = self._buckets.take
        denied = take(device, of_device, 1, size, now, kept=kept)
        if denied is not None:
            return denied[0]
        denied = take(tenant, of_tenant, 1, size, now, kept=kept)
        if denied is None:
            return None
        self._buckets.give_back(device, 1, size, kept=kept)
        return OF_TENANT[denied[0]]

    def _draw(self, device: int, size: int, now: int) -> str | None:
        """The same for a device without limits of its own that has used up its credit."""
        wanted = max(size, self._credits)
        for number in (wanted, size):
            if self._buckets.take(device, self._quota, 1, number, now) is None:
                if len(self._credit) >= OWNERS_MAX:
                    self._credit.clear()
                self._credit[device] = self._credit.get(device, 0) + number - size
                return None
        return BYTES

    def _use(self) -> None:
        quotas = (self._quota, self._tenant_quota, *self._devices.values(), *self._tenants.values())
        self.active = any(quota.messages or quota.bytes for quota in quotas)
        only_bytes = not self._quota.messages and not any(
            quota.messages or quota.bytes for quota in quotas[1:2] + tuple(self._tenants.values())
        )
        self._credits = (self._quota.bytes or 0) // CREDIT_PARTS if only_bytes else 0
        if not self._credits:
            self._credit.clear()
        for device in self._devices:
            self._credit.pop(device, None)
