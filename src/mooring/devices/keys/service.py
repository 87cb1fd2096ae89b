"""Operations on the keys of a device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.exc import IntegrityError

from mooring.audit import log as audit_log
from mooring.changes import queue as change_queue
from mooring.devices import password_store as passwords
from mooring.devices.keys import store, tokens
from mooring.devices.keys.model import DeviceKey
from mooring.devices.model import Device
from mooring.devices.service import Devices
from mooring.errors import Conflict, NotFound
from mooring.identity.actor import Actor, Role
from mooring.secrets.instance import Instance
from mooring.settings import Settings
from mooring.store.engine import Database, now_ms

__all__ = ["DeviceKeys", "audience_of"]


def audience_of(settings: Settings, instance: Instance) -> str:
    """What tokens of devices must name as their audience."""
    return settings.device_token_audience or instance.audience


@dataclass(frozen=True, slots=True)
class DeviceKeys:
    """Keys of one installation's devices."""

    database: Database
    devices: Devices
    settings: Settings

    @property
    def audience(self) -> str:
        """See ``audience_of``."""
        return audience_of(self.settings, self.devices.instance)

    def listed(self, actor: Actor, reference: str) -> tuple[Device, Sequence[DeviceKey]]:
        """A device and its keys, the oldest first.

        Raises:
            NotFound, Conflict: no such device, or several.
        """
        device = self.devices.get(actor, reference)
        with self.database.read() as connection:
            return device, store.keys_of(connection, device.id)

    def add(
        self, actor: Actor, reference: str, pem: str, *, label: str = "", reason: str = ""
    ) -> tuple[Device, DeviceKey]:
        """A key with which the device may sign tokens from now on.

        Raises:
            NotFound, Conflict: no such device, or several; the device has the key already; it has
                as many as it may (``limit_reached``).
            Invalid: it is not a public key that can be used.
        """
        device = self.devices.get(actor, reference)
        actor.require(Role.OPERATOR, device.tenant)
        number, algorithm, text = tokens.public_key(pem)
        key = DeviceKey(number, device.id, algorithm, text, label, now_ms())
        try:
            with self.database.write() as connection:
                most = self.settings.device_keys_max_per_device
                store.require_key_room(connection, device.id, most)
                store.insert(connection, key)
                audit_log.record(
                    connection,
                    actor,
                    "device.key.add",
                    f"{device.reference} ({number})",
                    tenant=device.tenant,
                    reason=reason,
                )
        except IntegrityError as exc:
            raise Conflict(
                f"The device {device.reference} has this key already.",
                hint="`mooring device key list` shows its keys.",
                code="device_key_exists",
            ) from exc
        return device, key

    def remove(
        self, actor: Actor, reference: str, key: str, *, reason: str = ""
    ) -> tuple[Device, list[int]]:
        """Takes a key away, and the password that the device got for a token, whichever of its
        keys had signed that.

        Returns:
            The device, and the change numbers to wait for.

        Raises:
            NotFound, Conflict: no such device or key, or several devices.
        """
        device = self.devices.get(actor, reference)
        actor.require(Role.OPERATOR, device.tenant)
        changes: list[int] = []
        with self.database.write() as connection:
            if not store.delete(connection, device.id, key):
                raise NotFound(
                    f"The device {device.reference} has no key {key[:64]}.",
                    hint="`mooring device key list` shows its keys.",
                    code="device_key_not_found",
                )
            held = passwords.credential(connection, device.id)
            if held is not None and held.expires_at is not None:
                passwords.withdraw(connection, [device.id])
                changes.append(change_queue.enqueue(connection, "put", device.username))
            audit_log.record(
                connection,
                actor,
                "device.key.remove",
                f"{device.reference} ({key})",
                tenant=device.tenant,
                reason=reason,
            )
        return device, changes
