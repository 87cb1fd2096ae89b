"""The evidence of the broker's plugin, into the database.

One consumer with a session that outlives it, so that what happens while Mooring is away waits
at the broker. A batch of events is one transaction, and is acknowledged after its commit.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial

from mooring.app import App
from mooring.broker.plugin_authority import PluginAuthority
from mooring.credentials.rotation import store as rotations
from mooring.devices import password_store as passwords
from mooring.errors import BrokerUnavailable, DatabaseUnavailable, MooringError
from mooring.link.mqtt import MqttLink
from mooring.link.protocol import Subscription
from mooring.presence import store
from mooring.presence.evidence import EVENT_TOPIC, Evidence, Folded, Told, parse
from mooring.presence.unknown import unknown_device
from mooring.store.engine import now_ms
from mooring.supervisor.rows import RowFaults

__all__ = ["CLIENT_ID", "AuthorityEvents"]

log = logging.getLogger(__name__)

CLIENT_ID = "mooring-authority-events"
SESSION_SECONDS = 7 * 86_400
AT_ONCE = 2_000
UNREADABLE, NOT_STORABLE = "that cannot be read", "that cannot be recorded"
RETRY_SECONDS = 0.5
TRIM_EVERY = 1000  # rows between two looks at how many there are
TROUBLE_SECONDS = 60.0  # between two comparisons because of trouble


class AuthorityEvents:
    """Reads what the plugin says.

    Args:
        app: whose database, settings and dialects.
        authority: keeps client ids of persistent sessions, and asks for live logins.
        on_trouble: called when the plugin cannot read its accounts.
    """

    def __init__(
        self, app: App, authority: PluginAuthority, on_trouble: Callable[[], None]
    ) -> None:
        self._app = app
        self._authority = authority
        self._on_trouble = on_trouble
        self._evidence = Evidence()
        self._link = self._new_link()
        self._runs = 0
        self._since_trim = 0
        self.faults = RowFaults("an event of the plugin", retried=False)
        self._troubled_at = float("-inf")

    async def run(self) -> None:
        """Until cancelled. May be called again after a failure."""
        self._runs += 1
        if self._runs > 1:
            self._link = self._new_link()
        await self._persistently(self._nobody)
        try:
            await self._start()
            while True:
                batch = await self._link.take(AT_ONCE, 0.0)
                events = []
                for packet in batch.packets:
                    with self.faults.isolated(UNREADABLE):
                        event = parse(bytes(packet.payload))
                        events += [] if event is None else [event]
                await self._record(events)
                self._link.acknowledge(batch)
        finally:
            await self._link.close()

    def _new_link(self) -> MqttLink:
        return MqttLink(self._app.endpoint(CLIENT_ID), session_seconds=SESSION_SECONDS)

    async def _record(self, events: Sequence[Told]) -> None:
        """An event that cannot be recorded costs itself: the broker would repeat it, and all
        that come with it, indefinitely."""
        # Folded once: told again, the events would count as repeated.
        parts = [self._evidence.fold([event]) for event in events]
        try:
            await self._store(Folded.merged(parts))
        except Exception:  # noqa: BLE001 - whatever it is, it concerns one of them
            for part in parts:
                try:
                    await self._store(part)
                except Exception as exc:  # noqa: BLE001 - this one
                    self.faults.failed(NOT_STORABLE, exc)

    async def _start(self) -> None:
        await self._link.subscribe([Subscription(EVENT_TOPIC, 1)])
        while True:
            try:
                await self._link.start()
                # Devices came before anybody listened, or nobody counts as connected any more.
                if not self._link.repeats or self._runs > 1:
                    await self._authority.figures(replay=True)
            except BrokerUnavailable as exc:
                log.warning("the broker's evidence is not read: %s", exc)
                await self._link.close()
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return

    # ------------------------------------------------------------------ storing

    async def _persistently(self, work: Callable[[], None]) -> None:
        """The events are safe with the broker until it works."""
        pause = 0.1
        while True:
            try:
                await asyncio.to_thread(work)
            except DatabaseUnavailable as exc:
                log.warning("the broker's evidence is not stored yet: %s", exc)
                await asyncio.sleep(pause)
                pause = min(pause * 2, 5.0)
            else:
                return

    async def _store(self, seen: Folded) -> None:
        if seen.rows or seen.restarted:
            await self._persistently(partial(self._write, seen))
        if seen.sessions:
            try:
                await self._authority.remember_sessions(seen.sessions)
            except MooringError as exc:
                log.warning("sessions are not remembered: %s", exc)
        self._complain(seen.troubles)

    def _complain(self, troubles: list[str]) -> None:
        for trouble in troubles:
            log.warning("the broker's plugin: %s", trouble)
        if troubles and time.monotonic() - self._troubled_at >= TROUBLE_SECONDS:
            self._troubled_at = time.monotonic()
            self._on_trouble()

    def _nobody(self) -> None:
        with self._app.database.write() as connection:
            store.nobody_connected(connection, now_ms())

    def _write(self, seen: Folded) -> None:
        settings = self._app.settings
        uses = [passwords.Use(one.username, one.key, one.at) for one in seen.used]
        with self._app.database.write() as connection:
            if seen.restarted:
                store.nobody_connected(connection, now_ms())
            if seen.rows:
                store.add_events(connection, seen.rows)
            if seen.denied:
                store.add_denied(connection, seen.denied, settings.dead_letters_max)
            for name, number in seen.limited.items():
                store.count(connection, name, number)
            store.set_connected(connection, seen.latest.values())
            passwords.prove_used(connection, uses)
            rotations.used(connection, uses)
            if unknown := self._unknown(seen):
                store.add_unknown(
                    connection,
                    unknown,
                    settings.discovery_max_per_tenant,
                    settings.strangers_max,
                )
            self._since_trim += len(seen.rows)
            if self._since_trim >= TRIM_EVERY:
                self._since_trim = 0
                store.trim_events(connection, settings.broker_events_max)

    def _unknown(self, seen: Folded) -> dict[tuple[str, str, str], int]:
        found = {}
        for username, at in seen.unknown.items():
            device = unknown_device(self._app.catalogue, username)
            if device is not None:
                found[device] = at
        return found
