"""Many devices in one go: all of them or none, in one transaction.

The broker is not told of each: one pending change makes it take everything over at once, which
costs one restart (Dynamic Security) or one reload (password file) whatever the number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from mooring.audit import log as audit_log
from mooring.broker import store as broker
from mooring.broker.users import BrokerUser
from mooring.bulk import store
from mooring.bulk.model import Checked, Entry, Wrong
from mooring.bulk.store import Taken
from mooring.changes import queue as change_queue
from mooring.devices import changes
from mooring.devices.attributes.model import Source
from mooring.devices.model import Credentials
from mooring.devices.reconcile import REPLACE
from mooring.devices.service import Devices
from mooring.dialects import Catalogue
from mooring.errors import Conflict, MooringError
from mooring.identity.actor import Actor, Role
from mooring.secrets import verifiers
from mooring.secrets.instance import Instance
from mooring.store.engine import Database

__all__ = ["FEW", "Bulk"]

FEW = 20
"""Up to this many devices are sent to the broker one by one, which disconnects no client."""


@dataclass(frozen=True, slots=True)
class Bulk:
    """Adds devices and broker users of one installation, many at a time."""

    database: Database
    catalogue: Catalogue
    instance: Instance
    devices: Devices

    def check(
        self, actor: Actor, entries: Iterable[Entry], told: Callable[[int], None] = lambda _n: None
    ) -> tuple[list[Checked], list[Wrong]]:
        """What can be added, and each line that cannot with its reason.

        Raises:
            Forbidden: the actor may not add devices to a tenant.
        """
        with self.database.read() as connection:
            there = store.taken(connection)
        good: list[Checked] = []
        wrong: list[Wrong] = []
        allowed: set[str] = set()
        for number, entry in enumerate(entries, 1):
            try:
                if entry.device.tenant not in allowed:
                    actor.require(Role.OPERATOR, entry.device.tenant)
                    allowed.add(entry.device.tenant)
                device, scope, mac_key = self.devices.checked(entry.device)
                held = self.devices.attributes_of(entry.device, Source.IMPORT, actor.name)
            except MooringError as exc:
                wrong.append(Wrong(entry.line, f"{exc.message} {exc.hint}".strip()))
                continue
            if entry.username is not None:
                device = replace(device, username=entry.username)
            checked = Checked(device, scope, mac_key, entry.verifier, held)
            why = _twin(there, checked)
            if why:
                wrong.append(Wrong(entry.line, why))
            else:
                good.append(checked)
            told(number)
        return good, wrong

    def new_passwords(
        self, checked: Sequence[Checked], told: Callable[[int], None] = lambda _n: None
    ) -> tuple[list[Checked], list[Credentials]]:
        """A generated password for each."""
        made: list[Checked] = []
        shown: list[Credentials] = []
        for number, one in enumerate(checked, 1):
            password = verifiers.new_password()
            made.append(replace(one, verifier=verifiers.make(password)))
            shown.append(Credentials(one.device, password))
            told(number)
        return made, shown

    def store(
        self,
        actor: Actor,
        checked: Sequence[Checked],
        *,
        users: Sequence[tuple[BrokerUser, str | None]] = (),
        secrets: Sequence[Credentials] = (),
        action: str = "device.add",
        reason: str = "",
    ) -> list[int]:
        """Adds everything or nothing; returns the change numbers to wait for.

        Args:
            checked: from ``check``, with verifiers.
            users: broker users to add in the same transaction.
            secrets: the new passwords, where they are known: a few are sent to the broker
                one by one, which needs them.

        Raises:
            Conflict: somebody took one of the names in the meantime.
        """
        actor.require(Role.ADMIN if users else Role.OPERATOR, None if users else actor.tenant)
        with self.database.write() as connection:
            there = store.taken(connection)
            for one in checked:
                why = _twin(there, one)
                if why:
                    raise Conflict(why, hint="Nothing was added. Try again.", code="device_exists")
            numbers = store.insert(
                connection,
                checked,
                store.Limits(
                    self.devices.tenants_max, self.devices.devices_max, self.devices.groups_max
                ),
                actor.name,
            )
            broker.insert_many(connection, users)
            store.record(connection, actor, action, checked, reason)
            for user, _ in users:
                audit_log.record(
                    connection, actor, "broker_user.import", user.username, reason=reason
                )
            if numbers:
                changes.note(connection, numbers[0], numbers[-1])
                names = {one.device.dialect for one in checked}
                changes.note_dialects(connection, map(self.catalogue.get, names))
            if not users and 0 < len(secrets) == len(checked) <= FEW:
                return [
                    change_queue.enqueue(
                        connection,
                        "put",
                        one.device.username,
                        sealed_secret=self.instance.seal(one.password),
                    )
                    for one in secrets
                ]
            return [change_queue.enqueue(connection, REPLACE, "")] if checked or users else []


def _twin(there: Taken, one: Checked) -> str:
    """Why it cannot be added next to what is there; it is there itself afterwards."""
    device = one.device
    mac = (one.mac_key or "", device.dialect, device.tenant)
    if device.username in there.usernames:
        return f"The device name {device.name} cannot be used: its username is taken."
    if device.client_id in there.client_ids:
        return f"The device name {device.name} cannot be used: its username is taken."
    if (device.tenant, device.name) in there.names:
        return f"A device named {device.name} already exists in the tenant {device.tenant}."
    if (one.scope, device.name) in there.scopes:
        return f"The device name {device.name} cannot be used: its username is taken."
    if one.mac_key and mac in there.macs:
        return f"A device with the MAC address {device.mac} already exists."
    there.usernames.add(device.username)
    there.client_ids.add(device.client_id)
    there.names.add((device.tenant, device.name))
    there.scopes.add((one.scope, device.name))
    if one.mac_key:
        there.macs.add(mac)
    return ""
