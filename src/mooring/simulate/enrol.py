"""Real devices for a simulated fleet: added where they are missing, used again where they are not.

A password is shown once, so those of simulated devices are kept in the data directory, in a
file only its owner can read. Only devices with the label ``simulated`` are ever removed here.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from mooring.devices.model import Device, NewDevice
from mooring.devices.service import Devices
from mooring.dialects.model import Dialect
from mooring.errors import Conflict, NotFound, TooMany
from mooring.files import write_atomically
from mooring.identity.actor import Actor

__all__ = ["LABEL", "Enrolled", "Passwords", "enrol", "made_up_mac", "own_prefix"]

LABEL = "simulated"
FILE = "simulated.json"
LOCK = "simulated.lock"
RUNS_MOST = 1000  # at the same time on one data directory
SAVE_EVERY = 25  # a device whose password was lost is removed and added again


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A device of the fleet.

    Attributes:
        change: the change number to wait for, or ``None`` for one that was there.
    """

    device: Device
    password: str = field(repr=False)
    change: int | None = None


class Passwords:
    """Username → password of simulated devices, in one file (0600).

    Several runs may use it at the same time: each writes only what it has changed itself.
    """

    def __init__(self, data_dir: Path) -> None:
        self._directory = data_dir
        self._known = self._read()
        self._changed: dict[str, str | None] = {}

    def get(self, username: str) -> str | None:
        return self._known.get(username)

    def put(self, username: str, password: str) -> None:
        self._known[username] = self._changed[username] = password
        if len(self._changed) >= SAVE_EVERY:
            self.save()

    def forget(self, username: str) -> None:
        if self._known.pop(username, None) is not None:
            self._changed[username] = None

    def save(self) -> None:
        if not self._changed:
            return
        with (self._directory / f".{FILE}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            merged: dict[str, str | None] = {**self._read(), **self._changed}
            known = {name: word for name, word in merged.items() if word is not None}
            write_atomically(self._directory / FILE, json.dumps(known, indent=1) + "\n")
        self._known, self._changed = known, {}

    def _read(self) -> dict[str, str]:
        try:
            found = json.loads((self._directory / FILE).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return {}  # without a password a device is added again
        if not isinstance(found, dict):
            return {}
        return {str(name): word for name, word in found.items() if isinstance(word, str)}


@contextmanager
def own_prefix(data_dir: Path) -> Iterator[str]:
    """How the devices of this run are called, so that two runs at once share none.

    ``sim`` for the first, ``sim2`` for a parallel one; the kernel gives a prefix back when its
    run ends, however it ends.

    Raises:
        TooMany: a thousand runs are going on.
    """
    # Byte n of the file is locked by run n. Not inherited by children, unlike flock.
    descriptor = os.open(data_dir / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield _first_free(descriptor)
    finally:
        os.close(descriptor)


def _first_free(descriptor: int) -> str:
    for number in range(RUNS_MOST):
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
        except OSError:
            continue  # another run's
        return "sim" if number == 0 else f"sim{number + 1}"
    raise TooMany(f"{RUNS_MOST} simulations are already running.", hint="Stop some of them.")


def enrol(
    devices: Devices,
    actor: Actor,
    passwords: Passwords,
    dialect: Dialect,
    count: int,
    *,
    tenant: str = "default",
    prefix: str = "sim",
    on_each: Callable[[], None] = lambda: None,
) -> list[Enrolled]:
    """``count`` devices of a dialect that can log in.

    Args:
        prefix: what their names begin with.
        on_each: called when one is ready.

    Raises:
        Invalid: the tenant's name breaks a rule.
    """
    found: list[Enrolled] = []
    try:
        for name in _names(prefix, dialect):
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


def _names(prefix: str, dialect: Dialect) -> Iterator[str]:
    number = 0
    while True:
        number += 1
        yield f"{prefix}-{dialect.name}-{number}"


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
