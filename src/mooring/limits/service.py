"""What devices and tenants may take of the broker, and changing it.

Each value is a tenant's or device's own, or the installation's setting. Mooring's plugin for the
broker keeps them; the other authorities have no such limits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from sqlalchemy.engine import Connection

from mooring.audit import log as audit_log
from mooring.changes import queue as change_queue
from mooring.devices import limit_store as store
from mooring.devices.model import Device
from mooring.devices.service import Devices
from mooring.errors import Forbidden, Invalid, NotFound
from mooring.identity.account import Quota
from mooring.identity.actor import Actor, Role
from mooring.settings import Settings
from mooring.store.engine import Database
from mooring.store.tenants import tenant_exists

__all__ = ["VALUE_MAX", "DeviceLimits", "Limited", "check_values"]

VALUE_MAX = 1_000_000_000_000


@dataclass(frozen=True, slots=True)
class Limited:
    """The limits of one device or tenant.

    Attributes:
        own: its own values; ``None``: the setting; 0: no limit.
        in_force: ``None``: no limit.
        enforced: whether the broker's authority can keep limits.
    """

    own: Quota
    in_force: Quota
    enforced: bool


@dataclass(frozen=True, slots=True)
class DeviceLimits:
    """Limits of the devices and tenants of one installation."""

    database: Database
    devices: Devices
    settings: Settings

    def of_device(self, actor: Actor, reference: str) -> tuple[Device, Limited]:
        """Raises: NotFound: no such device."""
        device = self.devices.get(actor, reference)
        actor.require(Role.VIEWER, device.tenant)
        with self.database.read() as connection:
            own = store.of_device(connection, device.id)
        return device, self._limited(own, self.devices.quota)

    def of_tenant(self, actor: Actor, name: str) -> Limited:
        """Raises: NotFound: no such tenant that the actor sees."""
        with self.database.read() as connection:
            self.require_tenant(connection, actor, name)
            own = store.of_tenant(connection, name)
        return self._limited(own, self.devices.tenant_quota)

    def set_of_device(
        self, actor: Actor, reference: str, own: Quota, *, reason: str = ""
    ) -> tuple[Device, Limited, list[int]]:
        """Puts these values instead of the device's own. A device that is disconnected because of
        a limit is accepted again.

        Returns:
            The device, its limits, and the pending changes to wait for.

        Raises:
            Invalid: a value is negative or too large.
            NotFound: no such device.
            Forbidden: ``limit_above_setting``: the actor sees one tenant only, and a value is
                above the installation's.
        """
        _check(own)
        device = self.devices.get(actor, reference)
        actor.require(Role.ADMIN, device.tenant)
        if actor.tenant is not None:
            _check_below(own, self.devices.quota)
        with self.database.write() as connection:
            store.set_of_device(connection, device.id, own)
            store.end_disconnect(connection, device.id)
            changes = [change_queue.enqueue(connection, "put", device.username)]
            audit_log.record(
                connection,
                actor,
                "device.limits",
                device.reference,
                tenant=device.tenant,
                reason=reason,
            )
        return device, self._limited(own, self.devices.quota), changes

    def set_of_tenant(
        self, actor: Actor, name: str, own: Quota, *, reason: str = ""
    ) -> tuple[Limited, list[int]]:
        """Puts these values instead of the tenant's own; only for who sees every tenant.

        Raises:
            Invalid: a value is negative or too large.
            NotFound: no such tenant.
        """
        _check(own)
        with self.database.write() as connection:
            self.require_tenant(connection, actor, name)
            actor.require(Role.ADMIN, None)
            store.set_of_tenant(connection, name, own)
            one = store.a_device_of(connection, name)
            changes = [] if one is None else [change_queue.enqueue(connection, "put", one)]
            audit_log.record(connection, actor, "tenant.limits", name, tenant=name, reason=reason)
        return self._limited(own, self.devices.tenant_quota), changes

    # ------------------------------------------------------------------ inside

    def _limited(self, own: Quota, setting: Quota) -> Limited:
        return Limited(own, store.in_force(own, setting), self.settings.authority == "plugin")

    def limited_of_tenant(self, own: Quota) -> Limited:
        """A tenant with these values of its own."""
        return self._limited(own, self.devices.tenant_quota)

    @staticmethod
    def require_tenant(connection: Connection, actor: Actor, name: str) -> None:
        """Raises: NotFound: no such tenant that the actor sees."""
        actor.require(Role.VIEWER, actor.tenant)
        if not actor.sees(name) or not tenant_exists(connection, name):
            raise NotFound(
                f"There is no tenant {name}.",
                hint="`mooring tenant list` shows every tenant.",
                code="tenant_not_found",
            )


def _check_below(own: Quota, setting: Quota) -> None:
    """The setting protects other tenants from the device: its own tenant cannot lift it."""
    for name, value in asdict(own).items():
        most = getattr(setting, name)
        if value is not None and most and not 0 < value <= most:
            raise Forbidden(
                f"The limit of {name} is {most:,} in this installation.",
                hint=f"Choose 1 to {most:,}, or ask an administrator of all tenants.",
                code="limit_above_setting",
            )


def _check(own: Quota) -> None:
    check_values(asdict(own))


def check_values(own: Mapping[str, int | None]) -> None:
    """Raises ``Invalid`` where a value is negative or too large."""
    for name, value in own.items():
        if value is not None and not 0 <= value <= VALUE_MAX:
            raise Invalid(
                f"The limit of {name.replace('_', ' ')} must be 0 to {VALUE_MAX:,}, not {value}.",
                hint="0 means no limit.",
                code="invalid_limit",
            )
