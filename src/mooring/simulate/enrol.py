"""Real devices for a made-up fleet: added where they are missing, used again where they are not.

A password is shown once, so those of simulated devices are kept in the data directory, in a
file only its owner can read. Only devices with the label ``simulated`` are ever removed here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mooring.access.actor import Actor
from mooring.access.instance import write_private
from mooring.devices.model import Device, NewDevice
from mooring.devices.service import Devices
from mooring.dialects.model import Dialect
from mooring.errors import Conflict, NotFound

__all__ = ["LABEL", "Enrolled", "Passwords", "enrol", "made_up_mac"]

LABEL = "simulated"
FILE = "simulated.json"
SAVE_EVERY = 25  # a device whose password was lost is removed and added anew


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A device of the fleet.

    Attributes:
        change: the outbox number to wait for, or ``None`` for one that was there.
    """

    device: Device
    password: str = field(repr=False)
    change: int | None = None


class Passwords:
    """Username → password of simulated devices, in one file (0600)."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / FILE
        self._known: dict[str, str] = {}
        self._unsaved = 0
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            found = {}  # without a password a device is added anew
        if isinstance(found, dict):
            self._known = {str(k): v for k, v in found.items() if isinstance(v, str)}

    def get(self, username: str) -> str | None:
        return self._known.get(username)

    def put(self, username: str, password: str) -> None:
        self._known[username] = password
        self._unsaved += 1
        if self._unsaved >= SAVE_EVERY:
            self.save()

    def forget(self, username: str) -> None:
        if self._known.pop(username, None) is not None:
            self._unsaved += 1

    def save(self) -> None:
        if self._unsaved:
            write_private(self._path, json.dumps(self._known, indent=1) + "\n")
            self._unsaved = 0


def enrol(
    devices: Devices,
    actor: Actor,
    passwords: Passwords,
    dialect: Dialect,
    count: int,
    *,
    tenant: str = "default",
    on_each: Callable[[], None] = lambda: None,
) -> list[Enrolled]:
    """``count`` devices of a dialect that can log in.

    Args:
        on_each: called when one is ready.

    Raises:
        Invalid: the tenant's name breaks a rule.
    """
    found: list[Enrolled] = []
    try:
        for name in _names(dialect):
            if len(found) == count:
                break
            ready = _one(devices, actor, passwords, dialect, tenant=tenant, name=name)
            if ready is not None:
                found.append(ready)
                on_each()
    finally:
        passwords.save()
    return found


def made_up_mac(tenant: str, name: str) -> str:
    """A MAC address that no real device has: locally administered, the same every time."""
    digest = hashlib.sha256(f"{tenant}/{name}".encode()).digest()
    return ":".join(f"{byte:02X}" for byte in (0x02, *digest[:5]))


def _names(dialect: Dialect) -> Iterator[str]:
    number = 0
    while True:
        number += 1
        yield f"sim-{dialect.name}-{number}"


def _one(
    devices: Devices,
    actor: Actor,
    passwords: Passwords,
    dialect: Dialect,
    *,
    tenant: str,
    name: str,
) -> Enrolled | None:
    """The device of that name, or ``None`` when somebody else has the name."""
    there = _find(devices, actor, tenant, name)
    if there is not None:
        password = passwords.get(there.username)
        if password is not None and there.enabled and there.dialect == dialect.name:
            return Enrolled(there, password)
        if there.label != LABEL:
            return None
        devices.remove(actor, there.username, reason="the password of a simulated device is lost")
    new = NewDevice(
        name,
        dialect.name,
        tenant,
        LABEL,
        made_up_mac(tenant, name) if dialect.needs_mac else None,
    )
    try:
        credentials, changes = devices.add(actor, new, reason="simulation")
    except Conflict:
        return None  # the name is free in this tenant, but not in the dialect
    passwords.put(credentials.device.username, credentials.password)
    return Enrolled(credentials.device, credentials.password, changes[0])


def _find(devices: Devices, actor: Actor, tenant: str, name: str) -> Device | None:
    try:
        device = devices.get(actor, f"{tenant}:{name}")
    except NotFound:
        return None
    # A username or MAC address can look like tenant:name.
    return device if (device.tenant, device.name) == (tenant, name) else None
