"""What the platform raises alerts about by itself."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from mooring.alerts.model import Bounds, State
from mooring.alerts.platform.checks import CHECKS
from mooring.alerts.platform.worker import PlatformAlerts
from mooring.presence.evidence import LIMITED
from mooring.presence.states import store as presence_store
from mooring.presence.states.machine import Event, Record, advance, tick
from mooring.settings import Settings
from mooring.store.lookout import Lookout
from mooring.store.schema import (
    broker_events,
    certificates,
    counters,
    dead_letters,
    device_state,
    processes,
    rule_queue,
    sequences,
    tenant_dead_letters,
    tenant_usage,
)
from tests.integration.alerts.conftest import SECOND, Stand
from tests.support.source import ROOT

DAY = 86_400 * SECOND


class Watched:
    """The platform's checks, step by step."""

    def __init__(self, stand: Stand, settings: Settings) -> None:
        self.stand, self.settings = stand, settings
        self.free = 50
        self.checks = self.new()
        self.beat()

    def new(self) -> PlatformAlerts:
        return PlatformAlerts(
            self.stand.database,
            self.settings,
            Bounds(),
            disk=lambda _: (100, self.free),
        )

    def write(self, table: sa.Table, **values: Any) -> None:
        with self.stand.database.write() as connection:
            connection.execute(sa.insert(table).values(**values))

    def beat(self, *, connected: bool = True) -> None:
        with self.stand.database.write() as connection:
            connection.execute(sa.delete(processes))
        self.write(
            processes,
            name="ingest@x:1",
            role="ingest",
            pid=1,
            host="x",
            started_at=0,
            beat_at=self.stand.now,
            detail=json.dumps({"connected": connected}),
        )

    def step(self, after: float = 0, *, connected: bool = True) -> dict[str, State]:
        self.stand.after(after)
        self.beat(connected=connected)
        self.checks.step(self.stand.now)
        return {alert.name: alert.state for alert in self.stand.alerts()}

    def needed(self, after: float) -> bool:
        """Whether the worker would make a step so much later."""
        lookout = Lookout(self.stand.database)
        now = self.stand.now + int(after * SECOND)
        try:
            return asyncio.run(self.checks.is_needed(lookout, now))
        finally:
            lookout.close()


@pytest.fixture
def watched(stand: Stand, tmp_path: Path) -> Iterator[Watched]:
    yield Watched(stand, Settings(data_dir=tmp_path))


def test_a_healthy_platform_has_no_alerts(watched: Watched) -> None:
    assert watched.step() == {}
    assert watched.step(3600) == {}
    assert watched.checks.faults.failures == 0


def test_a_silent_device_raises_an_alert_after_one_and_a_half_intervals(watched: Watched) -> None:
    """Interval 60 s: 90 s after the last message."""
    stand, last = watched.stand, watched.stand.now
    watched.write(device_state, device_id=1, last_seen_at=last)
    record = advance(Record(), Event.LOGIN, last)
    found: dict[str, State] = {}
    while not found and stand.now < last + 100 * SECOND:
        record = tick(record, stand.now, 60 * SECOND)
        with stand.database.write() as connection:
            known = presence_store.Known(record, 60 * SECOND, last)
            presence_store.write(connection, [(1, known)])
        found = watched.step(1)
    assert found == {"device_silent": State.RAISED}
    assert abs(stand.now - last - 90 * SECOND) <= 2 * SECOND
    assert watched.needed(1), "the alert is open"
    with stand.database.write() as connection:
        heard = advance(record, Event.HEARD, stand.now)
        presence_store.write(connection, [(1, presence_store.Known(heard, 60 * SECOND, last))])
        connection.execute(sa.update(device_state).values(last_seen_at=stand.now))
    assert watched.step(1) == {"device_silent": State.CLEARED}
    assert not watched.needed(1)


@pytest.mark.parametrize("said_so", [True, False])
def test_a_device_that_lost_its_connection_is_silent_too(watched: Watched, said_so: bool) -> None:
    stand = watched.stand
    watched.write(device_state, device_id=1, last_seen_at=stand.now)
    record = advance(Record(), Event.HEARD, stand.now)
    record = advance(record, Event.SAID_OFFLINE if said_so else Event.GONE, stand.now)
    record = tick(record, stand.now + 10 * SECOND, 60 * SECOND)
    with stand.database.write() as connection:
        presence_store.write(connection, [(1, presence_store.Known(record, 60 * SECOND, 1))])
    assert watched.step(80) == {}
    assert watched.step(11) == ({} if said_so else {"device_silent": State.RAISED})


def test_rejected_logins_and_denied_messages(watched: Watched) -> None:
    at = watched.stand.now
    for _ in range(10):
        watched.write(broker_events, at=at, event="refused", username="u1")
        watched.write(broker_events, at=at, event="refused", username="nobody")
        watched.write(
            dead_letters,
            received_at=at,
            reason="denied",
            detail="",
            topic="x",
            tenant="rival",
            device_id=2,
            size=0,
            payload=b"",
        )
    found = watched.step(1)
    assert found == {"device_refused": State.RAISED, "publish_denied": State.RAISED}
    assert {alert.name: alert.device for alert in watched.stand.alerts()} == {
        "device_refused": "acme:a",
        "publish_denied": "rival:b",
    }
    watched.checks = watched.new()  # killed: it needs no memory
    assert watched.step(10) == found
    assert set(watched.step(700).values()) == {State.CLEARED}


def test_a_device_that_is_disconnected_for_its_limit(watched: Watched) -> None:
    for number in range(3):
        assert watched.step(1) == {}, number
        watched.write(
            broker_events,
            at=watched.stand.now,
            event=LIMITED,
            username="u1",
            detail="limit_messages",
        )
    assert watched.step(10) == {"device_limited": State.RAISED}
    assert watched.step(700) == {"device_limited": State.CLEARED}


def test_a_tenant_is_warned_before_its_limits_are_reached(watched: Watched) -> None:
    watched.settings = watched.settings.model_copy(update={"tenant_stored_bytes_max": 1000})
    watched.checks = watched.new()

    def use(size: int, *, displaced_at: int | None = None) -> None:
        values = {"messages": 1, "bytes": size, "displaced_at": displaced_at}
        with watched.stand.database.write() as connection:
            connection.execute(sa.delete(tenant_usage))
            connection.execute(sa.insert(tenant_usage).values(tenant="acme", **values))

    use(799)
    assert watched.step() == {}
    use(800)
    assert watched.step(10) == {"tenant_storage": State.RAISED}
    (alert,) = watched.stand.alerts()
    assert (alert.tenant, alert.severity.word, alert.value) == ("acme", "warning", "80 %")
    use(950)
    watched.step(10)
    assert watched.stand.alerts()[0].severity.word == "error"
    use(990, displaced_at=watched.stand.now)
    watched.step(10)
    assert "have reached their limit" in watched.stand.alerts()[0].message
    use(500)
    assert watched.step(10) == {"tenant_storage": State.CLEARED}
    with watched.stand.database.write() as connection:
        used = {"tenant": "rival", "bytes": watched.settings.tenant_dead_letter_bytes_max}
        connection.execute(sa.insert(tenant_dead_letters).values(**used))
    assert watched.step(10)["tenant_dead_letters"] == State.RAISED


def test_gaps_certificates_disk_dead_letters_backlog_and_broker(watched: Watched) -> None:
    stand, now = watched.stand, watched.stand.now
    watched.step()
    watched.write(sequences, device_id=1, upto=1, gap_since=now)
    watched.write(
        certificates,
        serial="aa",
        username="u1",
        device_id=1,
        fingerprint="",
        authority="",
        key_type="",
        not_before=0,
        not_after=now + 13 * DAY,
        issued_at=0,
        pem="",
        own_key=False,
    )
    watched.write(rule_queue, first_id=1, last_id=500_000, first_ts=0, last_ts=0)
    watched.write(counters, name="dead_letters", value=0)
    watched.step(60)
    with stand.database.write() as connection:
        connection.execute(sa.update(counters).values(value=1_000))
    watched.free = 9
    assert "broker_unreachable" not in watched.step(300, connected=False)
    found = watched.step(31, connected=False)
    assert sorted(found) == [
        "backlog",
        "broker_unreachable",
        "certificate_expiring",
        "dead_letters_rising",
        "disk_full",
    ]
    assert "gaps_open" in watched.step(600, connected=False)
    assert {alert.tenant for alert in stand.alerts() if alert.device is None} == {None}
    watched.free = 50
    found = watched.step(700)
    assert found["disk_full"] is found["broker_unreachable"] is State.CLEARED
    assert found["dead_letters_rising"] is State.CLEARED
    assert found["gaps_open"] is State.RAISED
    assert watched.checks.faults.failures == 0


def test_every_check_has_a_name_of_its_own() -> None:
    assert len({check.name for check in CHECKS}) == len(CHECKS)


def test_the_page_describes_every_check() -> None:
    page = (ROOT / "docs" / "reference" / "alerts.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \|.* (\d+) s \|$", page, re.MULTILINE)
    assert [(name, int(seconds) * SECOND) for name, seconds in rows] == [
        (check.name, check.every_ms) for check in CHECKS
    ]
