"""Messages through the real planner and sink, rules, and notifications step by step, on both
engines and on a clock of the test's own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import sqlalchemy as sa

from mooring.alerts.changes import apply
from mooring.alerts.model import Clear, Raise, Severity, Source, platform_key
from mooring.identity.actor import SYSTEM
from mooring.notify.group_store import WORK
from mooring.notify.model import Kind, Notification, Recipient
from mooring.notify.planner import Planner
from mooring.notify.service import Recipients
from mooring.settings import Settings
from mooring.store.schema import notification_items, notifications
from tests.integration.alerts.conftest import SECOND, Stand
from tests.support.projecting import INSTANCE

__all__ = ["SECOND", "Notifying"]


@dataclass
class Notifying(Stand):
    """One platform without processes, with recipients."""

    sent: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.settings = Settings()
        self.recipients = Recipients(self.database, INSTANCE, self.settings)
        self.planner = self.new_planner()

    def new_planner(self) -> Planner:
        return Planner(self.database, clock=lambda: self.now / 1000)

    def kill(self) -> None:
        super().kill()
        self.planner = self.new_planner()

    def recipient(self, name: str = "ops", **more: Any) -> Recipient:
        kind = more.pop("kind", Kind.WEBHOOK)
        target = more.pop("target", "https://hooks.example.org/x")
        more.setdefault("tenant", "acme")
        keys = ("tenant", "private", "platform")
        given = {key: more.pop(key) for key in keys if key in more}
        return self.recipients.add(SYSTEM, name, kind, target, options=more, **given).recipient

    def plan(self, seconds: float = 0) -> None:
        """Lets time pass and looks at what is due whenever something is."""
        until = self.now + int(seconds * SECOND)
        while True:
            while self.planner.turn(self.now):
                pass
            assert self.planner.faults.error == ""
            with self.database.read() as connection:
                found = connection.execute(sa.text(WORK)).one()[0]
            if found is None or found > until or self.now >= until:
                break
            # A group rests a little after each look.
            self.now = max(found, self.now + SECOND // 10)
        self.now = until

    def platform_alert(self, name: str = "broker_unreachable", **more: Any) -> None:
        found = Raise(
            key=platform_key(name),
            tenant=None,
            device_id=None,
            source=Source.PLATFORM,
            name=name,
            severity=Severity.CRITICAL,
            at=self.now,
            message="down",
        )
        with self.database.write() as connection:
            apply(connection, [replace(found, **more)], self.bounds)

    def platform_clear(self, name: str = "broker_unreachable") -> None:
        with self.database.write() as connection:
            apply(connection, [Clear(platform_key(name), self.now)], self.bounds)

    def made(self, recipient: Recipient) -> list[Notification]:
        """Its notifications, the oldest first."""
        return self.recipients.history(SYSTEM, str(recipient.id), limit=500)[::-1]

    def bodies(self, recipient: Recipient) -> list[list[tuple[str, str]]]:
        """(status, name) of the alerts of each notification."""
        with self.database.read() as connection:
            rows = connection.execute(
                sa.select(notifications.c.body)
                .where(notifications.c.recipient_id == recipient.id)
                .order_by(notifications.c.id)
            ).scalars()
            documents = [json.loads(row) for row in rows]
        return [[(one["status"], one["name"]) for one in found["alerts"]] for found in documents]

    def outbox(self) -> list[tuple[int, str]]:
        """(recipient, state)."""
        i = notification_items.c
        with self.database.read() as connection:
            rows = connection.execute(
                sa.select(i.recipient_id, i.state).order_by(i.alert_id, i.recipient_id)
            )
            return [(row[0], row[1]) for row in rows]


@pytest.fixture
def stand(database: Any, migrated_url: str) -> Iterator[Notifying]:
    made = Notifying(database, migrated_url)
    yield made
    made.desk.close()
