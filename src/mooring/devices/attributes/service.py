"""Reading and changing attributes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from mooring.audit import log as audit_log
from mooring.devices import changes
from mooring.devices.attributes import store
from mooring.devices.attributes.keys import key_of
from mooring.devices.attributes.merge import Room, merge
from mooring.devices.attributes.model import FOLLOWED, Held, Source, Value, document
from mooring.devices.attributes.rules import check_name, checked
from mooring.devices.model import Device
from mooring.devices.service import Devices
from mooring.errors import Outdated
from mooring.identity.actor import Actor, Role
from mooring.store.engine import Database, now_ms
from mooring.store.room import limit_reached

__all__ = ["Attributes", "Tags", "version_of"]


@dataclass(frozen=True, slots=True)
class Tags:
    """A change of tags that keeps the others."""

    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Attributes:
    """Attributes of devices."""

    database: Database
    devices: Devices

    @property
    def room(self) -> Room:
        return self.devices.room

    def of(self, actor: Actor, reference: str) -> tuple[Device, dict[str, Held]]:
        """A device and its attributes.

        Raises:
            NotFound: no such device.
        """
        device = self.devices.get(actor, reference)
        with self.database.read() as connection:
            return device, store.of_device(connection, device.id)

    def change(
        self,
        actor: Actor,
        reference: str,
        values: Mapping[str, object],
        *,
        tags: Tags | None = None,
        versions: Collection[str] | None = None,
        reason: str = "",
    ) -> tuple[Device, dict[str, Held]]:
        """Sets attributes on behalf of a person; ``None`` removes one.

        Args:
            tags: added to and removed from those of the device.
            versions: the attributes must still be one of these (``version_of``).

        Returns:
            The device and all its attributes.

        Raises:
            Invalid: ``invalid_attribute``: a name or a value is not valid.
            NotFound: no such device.
            Conflict: ``limit_reached``: too many free attributes.
            Outdated: somebody changed them since that version.
        """
        new: dict[str, Value | None] = {}
        for name, value in values.items():
            check_name(name)
            new[name] = None if value is None else checked(name, value)
        device = self.devices.get(actor, reference)
        actor.require(Role.OPERATOR, device.tenant)
        with self.database.write() as connection:
            if device.id not in store.lock(connection, [device.id]):
                self.devices.get(actor, reference)  # removed meanwhile: says so
            old = store.of_device(connection, device.id)
            if versions is not None and version_of(old) not in versions:
                raise Outdated(
                    f"The attributes of {device.reference} have changed.",
                    hint="Read them again, and repeat the change.",
                )
            if tags is not None:
                new["tags"] = _tags(old, new, tags)
            merged = merge(
                old, new, Source.PERSON, now_ms(), actor=actor.name, room=self.devices.room
            )
            if merged.beyond:
                raise limit_reached(
                    f"free attributes of {device.reference}",
                    self.devices.room.most,
                    "attributes_max_per_device",
                )
            names = (*merged.changed, *merged.removed)
            if names:
                store.write(
                    connection, [store.Change(device.id, device.tenant, names, merged.held)]
                )
                if not FOLLOWED.isdisjoint(names):
                    changes.note(connection, device.id)
                audit_log.record(
                    connection,
                    actor,
                    "device.attributes",
                    f"{device.reference}: {', '.join(names)}",
                    tenant=device.tenant,
                    reason=reason,
                )
        return device, dict(merged.held)


def version_of(held: Mapping[str, Held]) -> str:
    """A word that is another one when a value is."""
    text = json.dumps(document(held), ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _tags(old: Mapping[str, Held], new: Mapping[str, Value | None], tags: Tags) -> Value | None:
    before = new["tags"] if "tags" in new else (old["tags"].value if "tags" in old else None)
    found = {key_of(str(tag)): str(tag) for tag in (before if isinstance(before, tuple) else ())}
    for tag in tags.remove:
        found.pop(key_of(tag.strip()), None)
    for tag in tags.add:
        found.setdefault(key_of(tag.strip()), tag)
    return checked("tags", list(found.values())) if found else None
