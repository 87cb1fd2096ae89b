"""Limits of messages and bytes per second where the broker does not keep them.

Without Mooring's plugin the broker has acknowledged a message before anybody counts it. One above
the limit becomes a dead letter that says so: it is counted and listed.
"""

from __future__ import annotations

from collections.abc import Mapping

from mooring.devices import limit_store
from mooring.identity.account import NO_QUOTA, Quota
from mooring.limits.buckets import OFFLINE_SECONDS, Buckets
from mooring.store.engine import Database

__all__ = ["KEPT_MS", "REFRESH_SECONDS", "Limiter"]

REFRESH_SECONDS = 5.0  # in which a changed limit is applied
KEPT_MS = 60_000
"""A reading whose own time is older was kept by a device that was offline: it has an allowance of
its own."""
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
        self._now, self._kept = Buckets(), Buckets(OFFLINE_SECONDS)
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
        of_device = self._devices.get(device, self._quota)
        of_tenant = self._tenants.get(tenant, self._tenant_quota)
        buckets = self._kept if age > KEPT_MS else self._now
        denied = buckets.take(device, of_device, 1, size, now)
        if denied is None:
            denied = buckets.take(tenant, of_tenant, 1, size, now)
            if denied is None:
                return None
            buckets.give_back(device, 1, size)
        return denied[0]

    def _use(self) -> None:
        quotas = (self._quota, self._tenant_quota, *self._devices.values(), *self._tenants.values())
        self.active = any(quota.messages or quota.bytes for quota in quotas)
