"""``device why``: reads what is known of a device and gives the verdict."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from mooring.broker.connection import Connection, Endpoint
from mooring.broker.plugin_control import PluginControl
from mooring.devices import limit_store
from mooring.devices.model import Device
from mooring.devices.service import Devices
from mooring.doctor import store
from mooring.doctor.seen import Event, Seen
from mooring.doctor.why import RECENT_MS, Verdict, why
from mooring.errors import BrokerUnavailable, NotFound
from mooring.identity.actor import Actor, Role
from mooring.identity.policy import rights_of
from mooring.presence.evidence import Evidence, parse
from mooring.settings import Settings
from mooring.store.engine import Database, now_ms

__all__ = ["Diagnosed", "Diagnosis"]

log = logging.getLogger(__name__)

ASK_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Diagnosed:
    """A verdict, and on what it is. ``device`` is ``None`` for one that was removed."""

    username: str
    device: Device | None
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Answers why a device cannot connect, or why nothing arrives from it.

    Attributes:
        endpoint: where the platform's own account reaches the broker.
        now: the time of the diagnosis, epoch milliseconds.
    """

    database: Database
    devices: Devices
    settings: Settings
    endpoint: Endpoint
    now: Callable[[], int] = now_ms

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
                now=self.now(),
                username=username,
                client_id=None,
                removed=True,
                events=tuple(store.events(connection, username)),
            )
        return Diagnosed(username, None, why(seen))

    def _seen(self, device: Device) -> Seen:
        dialect = self.devices.catalogue.get(device.dialect)
        rights = rights_of(dialect, device.identity)
        answers, counted = asyncio.run(self._ask_broker(device.username))
        now = self.now()
        with self.database.read() as connection:
            credential = store.credential(connection, device.id)
            connected, connected_at, address, last_seen_at = store.state(connection, device.id)
            events = counted + store.events(connection, device.username)
            # Of a failed handshake, and without the plugin of a rejected login, the broker names
            # nobody; the address of the device's own last session is the best there is.
            known = address or next((e.address for e in events if e.address), "")
            events += store.unnamed(connection, known, now - RECENT_MS)
            events.sort(key=lambda event: (event.at, event.order), reverse=True)
            return Seen(
                now=now,
                username=device.username,
                client_id=device.client_id if dialect.client_id_fixed else None,
                created_at=device.created_at,
                enabled=device.enabled,
                disconnected_until=limit_store.disconnected(connection, [device.id]).get(device.id),
                by_certificate=credential is not None and not credential[0],
                password_at=credential[1] if credential else None,
                proved_at=credential[2] if credential else None,
                rotating=store.rotating(connection, device.id),
                change_pending=store.pending(connection, device.username),
                broker_answers=answers,
                names_rejected=self.settings.authority == "plugin",
                connected=connected,
                connected_at=connected_at,
                address=address or "",
                last_seen_at=last_seen_at,
                expected_ms=store.expected_ms(connection, device.id),
                last_stored=store.last_stored(connection, device),
                events=tuple(events),
                dead_letter=store.newest_dead_letter(connection, device.id),
                publishes=rights.publish,
                subscribes=rights.subscribe,
                certificates=tuple(store.certificates_of(connection, device)),
            )

    def authority_trouble(self) -> str:
        """Why the broker's plugin cannot use its accounts file, in one word; empty: it can, or
        there is no plugin, or nobody answers."""
        if self.settings.authority != "plugin":
            return ""
        word = asyncio.run(self._file_state())
        return "" if word == "ok" else word

    async def _file_state(self) -> str:
        control = PluginControl(self.endpoint)
        try:
            async with asyncio.timeout(ASK_SECONDS):
                return str((await control.ask()).get("file", ""))
        except (BrokerUnavailable, TimeoutError) as exc:
            log.info("the broker's plugin was not asked: %s", exc)
            return ""
        finally:
            await control.close()

    async def _ask_broker(self, username: str) -> tuple[bool, list[Event]]:
        """Whether the broker answers, and what it counts of a login and has not sent yet."""
        try:
            async with asyncio.timeout(ASK_SECONDS):
                if self.settings.authority == "plugin":
                    return True, await self._counted(username)
                await (await Connection.open(self.endpoint)).close()
        except BrokerUnavailable as exc:
            log.info("the broker could not be queried about %s: %s", username, exc)
            return exc.slug == "broker_refused", []
        except TimeoutError:
            return False, []
        return True, []

    async def _counted(self, username: str) -> list[Event]:
        control = PluginControl(self.endpoint)
        try:
            payloads = await control.about(username)
        finally:
            await control.close()
        rows = [
            row
            for payload in payloads
            if (told := parse(payload)) is not None
            for row in Evidence().fold([told]).rows
            if row.username == username
        ]
        found = [
            store.event_of(row.at, row.event, row.client_id, row.address, row.detail)
            for row in rows
        ]
        return [event for event in found if event is not None]
