"""Limits of devices and tenants for readings over HTTP, which do not pass the broker's plugin."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence

from mooring.devices import limit_store
from mooring.devices.model import Device
from mooring.devices.service import Devices
from mooring.errors import TooMany
from mooring.identity.account import Quota
from mooring.limits.buckets import MESSAGES, Buckets
from mooring.store.engine import Database, now_ms
from mooring.store.tally import Tally
from mooring.supervisor.worker import Worker

__all__ = ["Allowances"]


class Allowances:
    """The buckets of one serving process. Several processes count for themselves.

    A request with one reading is what the device sends now. One with several readings is what it
    kept while it was offline: what it has not used of its rate is saved for that.
    """

    def __init__(self) -> None:
        self._buckets = Buckets()
        self._lock = threading.Lock()

    def workers(self) -> Sequence[Worker]:
        """See ``mooring.part.Resident``."""
        return ()

    async def close(self) -> None:
        """See ``mooring.part.Resident``."""

    def take(
        self, database: Database, devices: Devices, tally: Tally, device: Device, sizes: list[int]
    ) -> None:
        """Counts readings of these sizes, in bytes of topic and payload, before they are accepted.

        Raises:
            TooMany: ``limit_messages`` or ``limit_bytes``: nothing was counted.
        """
        if not sizes:
            return
        with database.read() as connection:
            own = limit_store.of_device(connection, device.id)
            of_tenant = limit_store.of_tenant(connection, device.tenant)
        quotas = (
            limit_store.in_force(own, devices.quota),
            limit_store.in_force(of_tenant, devices.tenant_quota),
        )
        denied = self._take(device, quotas, sizes)
        if denied is None:
            return
        limit, whose, seconds = denied
        tally.count("uplink_limited")
        wait = math.ceil(seconds)
        hint = f"Send the readings again in {wait} s. None of them is stored."
        if limit == MESSAGES:
            raise TooMany(
                f"The {whose} sends more messages than its limit allows.",
                hint=hint,
                code="limit_messages",
                retry_after=wait,
            )
        raise TooMany(
            f"The {whose} sends more bytes than its limit allows.",
            hint=hint,
            code="limit_bytes",
            retry_after=wait,
        )

    def _take(
        self, device: Device, quotas: tuple[Quota, Quota], sizes: list[int]
    ) -> tuple[str, str, float] | None:
        of_device, of_tenant = quotas
        number, size, now = len(sizes), sum(sizes), now_ms()
        kept, take = number > 1, self._buckets.take
        with self._lock:
            denied = take(device.id, of_device, number, size, now, kept=kept)
            if denied is not None:
                return denied[0], "device", denied[1]
            denied = take(device.tenant, of_tenant, number, size, now, kept=kept)
            if denied is not None:
                self._buckets.give_back(device.id, number, size, kept=kept)
                return denied[0], "tenant", denied[1]
        return None
