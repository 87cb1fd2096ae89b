"""``device why``: reads what is known of a device and gives the verdict."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from mooring.access.actor import Actor, Role
from mooring.access.policy import rights_of
from mooring.devices.model import Device
from mooring.devices.service import Devices
from mooring.doctor import store
from mooring.doctor.seen import Seen
from mooring.doctor.why import RECENT_MS, Verdict, why
from mooring.errors import NotFound
from mooring.settings import Settings
from mooring.store.engine import Database, now_ms

__all__ = ["Diagnosed", "Diagnosis"]

CONNECT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Diagnosed:
    """A verdict, and on what it is. ``device`` is ``None`` for one that was removed."""

    username: str
    device: Device | None
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Answers why a device cannot connect, or why nothing arrives from it."""

    database: Database
    devices: Devices
    settings: Settings

    def why(self, actor: Actor, reference: str) -> Diagnosed:
        """The verdict on one device, by anything that names it; also by the username of a
        device that was removed.

        Raises:
            NotFound: there is and was no such device that the actor may see.
            Conflict: several devices go by that name.
        """
        try:
            device = self.devices.get(actor, reference)
        except NotFound:
            return self._removed(actor, reference)
        actor.require(Role.VIEWER, device.tenant)
        return Diagnosed(device.username, device, why(self._seen(device)))

    def _removed(self, actor: Actor, username: str) -> Diagnosed:
        with self.database.read() as connection:
            tenants = None if actor.tenant is None else [actor.tenant]
            if store.removed(connection, username, tenants) is None:
                raise NotFound(
                    f"There is no device {username}.",
                    hint="`mooring device list` shows every device.",
                    code="device_not_found",
                )
            seen = Seen(
                now=now_ms(),
                username=username,
                client_id=None,
                removed=True,
                events=tuple(store.events(connection, username)),
            )
        return Diagnosed(username, None, why(seen))

    def _seen(self, device: Device) -> Seen:
        now = now_ms()
        dialect = self.devices.catalogue.get(device.dialect)
        rights = rights_of(dialect, device.identity)
        answers = self._broker_answers()
        with self.database.read() as connection:
            credential = store.credential(connection, device.id)
            connected, connected_at, address, last_seen_at = store.state(connection, device.id)
            events = store.events(connection, device.username)
            known = address or next((e.address for e in events if e.address), "")
            if known:
                # Without a plugin the broker names nobody whom it rejects; the address of the
                # device's own last session is the best there is.
                events += store.unnamed(connection, known, now - RECENT_MS)
                events.sort(key=lambda event: event.at, reverse=True)
            return Seen(
                now=now,
                username=device.username,
                client_id=device.client_id if dialect.client_id_fixed else None,
                created_at=device.created_at,
                enabled=device.enabled,
                by_certificate=credential is not None and not credential[0],
                password_at=credential[1] if credential else None,
                proved_at=credential[2] if credential else None,
                rotating=store.rotating(connection, device.id),
                change_pending=store.pending(connection, device.username),
                broker_answers=answers,
                connected=connected,
                connected_at=connected_at,
                address=address or "",
                last_seen_at=last_seen_at,
                last_stored=store.last_stored(connection, device),
                events=tuple(events),
                dead_letter=store.newest_dead_letter(connection, device.id),
                publishes=rights.publish,
                subscribes=rights.subscribe,
                certificates=tuple(store.certificates_of(connection, device)),
            )

    def _broker_answers(self) -> bool:
        address = (self.settings.mqtt_host, self.settings.mqtt_port)
        try:
            with socket.create_connection(address, timeout=CONNECT_SECONDS):
                return True
        except OSError:
            return False
