"""Publishes what the platform knows of itself: one process at a time, which holds the lease.

Messages that come again a moment later go out at the quality of service of their channel and may be
lost. Alerts are downlinks, and retained messages are documents that the broker is to have: both are
rows.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mooring.broker.answers import broker_answers
from mooring.dialects import Catalogue
from mooring.dialects.live import LiveCatalogue
from mooring.dialects.model import Channel, Dialect
from mooring.dialects.outgoing import compose
from mooring.downlink.model import NewDownlink
from mooring.downlink.rules import Until
from mooring.errors import MooringError
from mooring.identity.actor import SYSTEM
from mooring.link.mqtt import MqttLink
from mooring.link.protocol import Subscription
from mooring.store import versions
from mooring.store.engine import now_ms
from mooring.store.leases import Lease
from mooring.store.tally import add_to_counter
from mooring.system_topics import store
from mooring.system_topics.rules import (
    SYS_FILTERS,
    AlertChange,
    Alerts,
    Counts,
    Message,
    Subject,
    alert,
    broker_figures,
    channels_of,
    fleet_status,
    system_message,
)
from mooring.telemetry.model import Overview
from mooring.telemetry.problems import of_overview

__all__ = ["GROUPS_MAX", "LEFT_OUT", "ORIGIN", "SystemTopics", "run"]

log = logging.getLogger(__name__)

ORIGIN = "system"
LOOK_SECONDS = 5.0
ALERT_MS = 3_600_000  # an alert is of use so long
AT_ONCE = 100  # documents in one transaction
GROUPS_MAX = 1_000  # groups of one dialect whose status is published
SECOND_MS = 1000

LEFT_OUT = "fleet_status_left_out"
"""Counter: groups whose status was not published because there are too many, each time."""


async def run(app: Any) -> None:
    """Until cancelled."""
    if not app.settings.system_topics_seconds:
        await asyncio.Event().wait()
    worker = SystemTopics(app)
    lease = Lease(app.database, "system topics")
    try:
        while True:
            try:
                if await asyncio.to_thread(lease.held, after_dead=True):
                    await worker.step(now_ms())
                else:
                    await worker.close()
            except MooringError as exc:
                log.warning("system topics are delayed: %s", exc)
            await asyncio.sleep(LOOK_SECONDS)
    finally:
        await worker.close()


class SystemTopics:
    """Used by one task."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._pace_ms = app.settings.system_topics_seconds * SECOND_MS
        self._live = LiveCatalogue(
            app.settings.dialects_dir, versions.stored(app.database, "dialects"), app.catalogue
        )
        self._alerts = Alerts()
        self._changes: list[AlertChange] = []  # not written yet
        self._due_at = 0
        self._overview: Overview | None = None  # as of the last time that all was published
        self._speaking: list[tuple[Dialect, dict[str, Counts]]] = []
        self._health: dict[str, bool] = {}  # topic → whether all was well, as it was written last
        self._fleet: dict[str, dict[str, int]] = {}  # topic → what was written last
        self._messages: tuple[int, int] | None = None  # counted messages, and when
        self._link: MqttLink | None = None
        self._listening: asyncio.Task[None] | None = None
        self._said: dict[str, bytes] = {}

    async def close(self) -> None:
        """Ends the connection to the broker."""
        if self._listening is not None:
            self._listening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._listening
            self._listening = None
        if self._link is not None:
            await self._link.close()
            self._link = None

    async def step(self, now: int) -> None:
        """One look.

        Raises:
            DatabaseUnavailable: the next look does what was not done.
            BrokerUnavailable: the broker does not answer; what are rows was written.
        """
        due = not 0 <= now - self._due_at < self._pace_ms
        if due:
            self._speaking = await asyncio.to_thread(self._find)
            self._due_at = now
        if not self._speaking:
            if due:
                await asyncio.to_thread(self._drop, set())
            await self.close()
            return
        messages = await asyncio.to_thread(self._look, due, now)
        await self._connect()
        if self._link is not None:
            for one in messages:
                await self._link.publish(one.topic, one.payload, qos=one.qos)

    # ------------------------------------------------------------------ the broker

    async def _connect(self) -> None:
        if self._link is not None:
            return
        link = MqttLink(self._app.endpoint(f"mooring-{secrets.token_hex(16)}"))
        wanted = [Subscription(one, 0, required=False) for one in SYS_FILTERS]
        await link.subscribe(wanted)
        await link.start()
        self._link = link
        self._listening = asyncio.create_task(self._listen(link), name="system topics: $SYS")

    async def _listen(self, link: MqttLink) -> None:
        while True:
            batch = await link.take(100, 0.0)
            self._said |= {one.topic: bytes(one.payload) for one in batch.packets}
            link.acknowledge(batch)

    # ------------------------------------------------------------------ in a thread

    def _find(self) -> list[tuple[Dialect, dict[str, Counts]]]:
        """Dialects that have such channels and devices, with their devices."""
        catalogue: Catalogue = self._live.get()
        found = {one.name: one for one in catalogue.all() if channels_of(one)}
        if not found:
            return []
        with self._app.database.read() as connection:
            counts = store.tenant_counts(connection, list(found))
        return [(found[name], tenants) for name, tenants in sorted(counts.items())]

    def _look(self, due: bool, now: int) -> list[Message]:
        overview = self._read(due)
        connected = self._link is not None and self._link.connected
        answers = connected or broker_answers(self._app.settings)
        problems = of_overview(overview, broker_answers=answers)
        values = self._values(overview, bool(problems), now) if due else {}
        self._changes += self._alerts.look(problems)
        messages: list[Message] = []
        kept: set[str] = set()
        for dialect, tenants in self._speaking:
            for subject, channel in channels_of(dialect):
                if subject is Subject.HEALTH:
                    found = self._health_of(channel, not problems, due, now)
                    kept |= {found.topic} if found is not None else set()
                    messages += [found] if found is not None and due and not found.retain else []
                elif subject is Subject.FLEET and due:
                    topics = self._fleet_of(dialect, channel, now)
                    kept |= {one.topic for one in topics}
                    messages += [one for one in topics if not one.retain]
                elif due:
                    for tenant in (None, *tenants):
                        mine = values if tenant is None else _of_tenant(tenants[tenant])
                        one = system_message(subject, channel, tenant, mine.get(subject, {}), now)
                        messages += [] if one is None or not mine.get(subject) else [one]
        self._write_alerts(now)
        if due:
            self._drop(kept)
        return messages

    def _read(self, due: bool) -> Overview:
        """All figures when all is published, otherwise only what problems are seen by."""
        if due or self._overview is None:
            self._overview = self._app.telemetry.overview(SYSTEM)
        else:
            processes = self._app.telemetry.processes()
            self._overview = replace(self._overview, processes=processes)
        return self._overview

    def _values(
        self, overview: Overview, troubled: bool, now: int
    ) -> dict[Subject, dict[str, Any]]:
        """Figures of the whole installation."""
        names = ("messages_stored", "messages_duplicate")
        total = sum(overview.counters.get(name, 0) for name in names)
        rate: dict[str, Any] = {}
        if self._messages is not None and now > self._messages[1]:
            seconds = (now - self._messages[1]) / SECOND_MS
            rate["messages_per_second"] = round(max(0, total - self._messages[0]) / seconds, 3)
        self._messages = (total, now)
        return {
            Subject.METRICS: {
                **rate,
                "messages_stored": overview.counters.get("messages_stored", 0),
                "dead_letters": overview.counters.get("dead_letters", 0),
                "devices": overview.devices,
                "devices_online": overview.online,
                "devices_connected": overview.connected,
                "downlinks_open": overview.downlinks_open,
                "healthy": not troubled,
            },
            Subject.CLIENTS: {"connected": overview.connected, "total": overview.devices},
            **broker_figures(self._said),
        }

    def _write_alerts(self, now: int) -> None:
        if not self._changes:
            return
        with self._app.database.write() as connection:
            for dialect, _ in self._speaking:
                for subject, channel in channels_of(dialect):
                    if subject is not Subject.ALERTS:
                        continue
                    for change in self._changes:
                        one = alert(channel, change, now)
                        if one is not None:
                            self._app.downlinks.put(connection, _downlink(one, now))
        self._changes = []

    def _health_of(self, channel: Channel, well: bool, due: bool, now: int) -> Message | None:
        """The message; a retained one is written when it is due or has changed."""
        values = {"status": "ok" if well else "degraded"}
        message = system_message(Subject.HEALTH, channel, None, values, now)
        if message is None or not channel.retain:
            return message
        if due or self._health.get(message.topic) is not well:
            self._put([message], now)
            self._health[message.topic] = well
        return message

    def _fleet_of(self, dialect: Dialect, channel: Channel, now: int) -> list[Message]:
        """The messages; those of retained ones that have changed are written."""
        with self._app.database.read() as connection:
            counts = store.group_counts(connection, dialect.name)
        found, left_out = fleet_status(channel, counts, GROUPS_MAX)
        messages = {
            topic: Message(
                topic, compose(channel.payload, figures, time_ms=now), channel.qos, channel.retain
            )
            for topic, figures in found.items()
        }
        if channel.retain:
            changed = [topic for topic in found if self._fleet.get(topic) != found[topic]]
            self._put([messages[topic] for topic in changed], now)
            self._fleet |= {topic: found[topic] for topic in changed}
        if left_out:
            with self._app.database.write(news=False) as connection:
                add_to_counter(connection, LEFT_OUT, left_out)
        return list(messages.values())

    def _put(self, messages: Sequence[Message], now: int) -> None:
        for start in range(0, len(messages), AT_ONCE):
            with self._app.database.write() as connection:
                for one in messages[start : start + AT_ONCE]:
                    self._app.desired.put_shared(
                        connection, one.topic, one.payload, version=now, origin=ORIGIN, qos=one.qos
                    )

    def _drop(self, kept: set[str]) -> None:
        """Clears documents whose dialect or group no longer exists."""
        with self._app.database.read() as connection:
            gone = [one for one in store.documents(connection, ORIGIN) if one not in kept]
        if gone:
            with self._app.database.write() as connection:
                self._app.desired.drop(connection, *gone)
            for topic in gone:
                self._fleet.pop(topic, None)
                self._health.pop(topic, None)


def _downlink(message: Message, now: int) -> NewDownlink:
    return NewDownlink(
        message.topic,
        message.payload,
        "",
        ORIGIN,
        now + ALERT_MS,
        qos=message.qos,
        until=Until.ONCE,
    )


def _of_tenant(counts: Counts) -> dict[Subject, dict[str, Any]]:
    return {
        Subject.METRICS: {
            "devices": counts.devices,
            "devices_online": counts.online,
            "devices_connected": counts.connected,
        },
        Subject.CLIENTS: {"connected": counts.connected, "total": counts.devices},
    }
