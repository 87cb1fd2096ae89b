"""One bad row in each loop over rows: the others are done, and the bad one is recorded."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from mooring.app import App, open_app
from mooring.broker.connection import Endpoint
from mooring.broker.log import LogKind
from mooring.broker.protocol import Applied
from mooring.credentials.rotation.worker import Parts, RotationWorker
from mooring.devices import accounts as logins
from mooring.devices.model import Device, NewDevice
from mooring.devices.reconcile import Reconciler
from mooring.errors import BrokerUnavailable, NotFound
from mooring.identity.account import Account, Rights
from mooring.identity.actor import SYSTEM
from mooring.presence import store as presence
from mooring.presence.evidence import Folded, parse
from mooring.presence.observe import Connectivity, EventRow, Observations
from mooring.retention import sweep as sweeping
from mooring.retention import tidy as tidying
from mooring.retention.policy import Policy
from mooring.rollups.service import Roller
from mooring.settings import Settings
from mooring.store import partitions
from mooring.store.engine import now_ms
from mooring.store.schema import (
    broker_changes,
    broker_events,
    channels,
    device_state,
    devices,
    messages,
    rollup_queue,
    rollups,
)
from mooring.supervisor.rows import RowFaults
from mooring.supervisor.state import Policy as Waits
from mooring.wiring.authority_events import AuthorityEvents
from mooring.wiring.broker_watch import BrokerWatch
from mooring.wiring.certificates import CertificateWatch
from mooring.wiring.sightings import SightingReader
from tests.support.ports import free_port

NOWHERE = Endpoint(port=1, username="s", password="x")
HOUR, DAY = 3_600_000, 86_400_000


@pytest.fixture
def app(tmp_path: Path, migrated_url: str) -> Iterator[App]:
    settings = Settings(
        data_dir=tmp_path / "data",
        database_url=migrated_url,
        mqtt_port=free_port(),
        auth_mode="dynamic_security",
    )
    with open_app(settings, upgrade=True) as app:
        yield app


def added(app: App, name: str, dialect: str = "iotflow") -> Device:
    credentials, _ = app.devices.add(SYSTEM, NewDevice(name, dialect, "a"))
    return credentials.device


def quick(what: str = "the row") -> RowFaults:
    return RowFaults(what, policy=Waits(first=0.0, most=0.0))


# ---------------------------------------------------------------------- rotations


def test_a_rotation_whose_dialect_is_gone(app: App) -> None:
    lost, lamp = added(app, "lost"), added(app, "lamp")
    for one in (lost, lamp):
        app.rotations.start(SYSTEM, one)
    with app.database.write() as connection:
        connection.execute(sa.update(devices).where(devices.c.id == lost.id).values(dialect="gone"))
    faults = quick()
    parts = Parts(
        app.database, app.devices, app.instance, app.rotations, app.downlinks, app.settings
    )
    worker = RotationWorker(parts, NOWHERE, faults=faults)
    tidied: list[str] = []
    worker._schedule = lambda: tidied.append("schedule")  # type: ignore[method-assign]
    worker._tidy = lambda: tidied.append("tidy")  # type: ignore[method-assign]
    advanced: list[int] = []
    original = worker._act

    async def act(standing: Any, decision: Any) -> int:
        advanced.append(standing.rotation.device_id)
        return await original(standing, decision)

    worker._act = act  # type: ignore[method-assign]
    asyncio.run(worker.step())
    assert advanced == [lamp.id], "the other one was not looked at"
    assert tidied == ["schedule", "tidy"]
    assert (faults.waiting, faults.failures) == (1, 1)

    # Its dialect comes back, and the worker hears of it without a new start.
    catalogue = replace_dialect(app, "gone")
    platform = replace(app, catalogue=catalogue, devices=replace(app.devices, catalogue=catalogue))
    worker.use(replace(parts, devices=platform.devices, rotations=platform.rotations))
    asyncio.run(worker.step())
    assert lost.id in advanced
    assert faults.waiting == 0


def replace_dialect(app: App, name: str) -> Any:
    directory = app.settings.dialects_dir
    directory.mkdir(parents=True, exist_ok=True)
    source = Path("src/mooring/dialects/iotflow.toml").read_text(encoding="utf-8")
    (directory / f"{name}.toml").write_text(
        source.replace('name = "iotflow"', f'name = "{name}"', 1), encoding="utf-8"
    )
    from mooring.dialects import load_all

    return load_all(directory)


def test_devices_that_cannot_be_rotated_do_not_take_the_places_of_others(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mooring.credentials.rotation.worker.SCHEDULED_AT_ONCE", 2)
    each = [added(app, f"d{n}") for n in range(5)]
    from mooring.store.schema import credentials

    with app.database.write() as connection:
        connection.execute(sa.update(credentials).values(created_at=now_ms() - 100 * DAY))
    settings = app.settings.model_copy(update={"rotate_after_days": 30})
    started: list[int] = []

    class Refusing:
        def start(self, _who: Any, device: Device, **_: Any) -> None:
            if device.id <= each[1].id:
                raise RuntimeError("bug")
            started.append(device.id)

    parts = Parts(
        app.database,
        app.devices,
        app.instance,
        Refusing(),  # type: ignore[arg-type]
        app.downlinks,
        settings,
    )
    faults = quick()
    worker = RotationWorker(parts, NOWHERE, faults=faults)
    for _ in range(3):
        worker._schedule()
    assert started == [one.id for one in each[2:]]
    assert faults.waiting == 2


# ---------------------------------------------------------------------- accounts and changes


class Picky:
    """An authority that cannot take one account."""

    def __init__(self, fault: Exception) -> None:
        self.fault = fault
        self.taken: list[str] = []

    async def put(
        self, accounts: Sequence[Account], _secrets: Mapping[str, str] | None = None
    ) -> Applied:
        if any("bad" in one.username for one in accounts):
            raise self.fault
        self.taken += [one.username for one in accounts]
        return Applied()

    async def remove(self, usernames: Sequence[str]) -> None: ...

    async def kick(self, usernames: Sequence[str]) -> None: ...


@pytest.mark.parametrize(
    "fault", [RuntimeError("bug"), BrokerUnavailable("No.", code="dynsec_refused"), NotFound("No.")]
)
def test_a_change_that_the_broker_cannot_take(app: App, fault: Exception) -> None:
    for name in ("good", "bad", "fine"):
        added(app, name)
    picky = Picky(fault)
    reconciler = Reconciler(app.database, app.devices, app.instance, picky, NOWHERE)  # type: ignore[arg-type]
    assert asyncio.run(reconciler.step()) == 2
    assert len(picky.taken) == 2
    with app.database.read() as connection:
        (left,) = connection.execute(
            sa.select(broker_changes.c.username, broker_changes.c.error, broker_changes.c.attempts)
        )
    assert "bad" in left.username
    assert left.error
    assert left.attempts == 1


def test_a_broker_that_does_not_answer_is_the_fault_of_no_change(app: App) -> None:
    for name in ("good", "bad"):
        added(app, name)
    picky = Picky(BrokerUnavailable("It does not answer."))
    reconciler = Reconciler(app.database, app.devices, app.instance, picky, NOWHERE)  # type: ignore[arg-type]
    assert asyncio.run(reconciler.step()) == 0
    assert picky.taken == []


def test_a_device_whose_rights_cannot_be_worked_out(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = added(app, "bad"), added(app, "good")
    original = logins._rights

    def rights(dialect: Any, device: Any) -> Rights:
        if device.name == "bad":
            raise RuntimeError("bug")
        return original(dialect, device)

    monkeypatch.setattr(logins, "_rights", rights)
    found = {one.username: one for one in app.devices.accounts()}
    assert found[good.username].rights != Rights()
    assert found[bad.username].rights == Rights()
    assert found[bad.username].client_id is not None


# ---------------------------------------------------------------------- evidence


def test_an_event_that_cannot_be_stored(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    original = presence.add_events

    def add_events(connection: sa.Connection, rows: Sequence[EventRow]) -> None:
        if any(row.client_id == "poison" for row in rows):
            raise RuntimeError("bug")
        original(connection, rows)

    monkeypatch.setattr(presence, "add_events", add_events)
    watch = BrokerWatch(app, None)  # type: ignore[arg-type]
    lamp = added(app, "lamp")
    rows = [
        EventRow(n, str(LogKind.CONNECTED), lamp.username, text, None, "")
        for n, text in enumerate(("one", "poison", "three"))
    ]
    seen = Observations(
        rows=rows, latest={lamp.username: Connectivity(lamp.username, True, 2, None)}, refused=1
    )
    asyncio.run(watch._store(seen))
    with app.database.read() as connection:
        ids = connection.execute(sa.select(broker_events.c.client_id)).scalars().all()
        connected = connection.execute(
            sa.select(device_state.c.connected).where(device_state.c.device_id == lamp.id)
        ).scalar()
    assert sorted(ids) == ["one", "three"]
    assert connected
    assert watch.faults.failures == 1


def test_a_line_that_cannot_be_read(app: App) -> None:
    watch = BrokerWatch(app, None)  # type: ignore[arg-type]
    read: list[str] = []

    class Reader:
        def read(self, line: str) -> None:
            if line == "poison":
                raise RuntimeError("bug")
            read.append(line)

    watch._observe(Reader(), ["a", "poison", "b"])  # type: ignore[arg-type]
    assert read == ["a", "b"]
    assert watch.faults.failures == 1


def test_a_report_of_the_plugin_that_cannot_be_recorded(app: App) -> None:
    """The others of its batch are, and each once."""
    events = AuthorityEvents(app, None, lambda: None)  # type: ignore[arg-type]
    write = events._write

    def failing(seen: Folded) -> None:
        if any(row.username == "bad" for row in seen.rows):
            raise RuntimeError("bug")
        write(seen)

    events._write = failing  # type: ignore[method-assign]
    told = [
        parse(json.dumps({"boot": "b", "n": n, "at": n, "kind": "gone", "user": user}).encode())
        for n, user in enumerate(("a", "bad", "c"), 1)
    ]
    asyncio.run(events._record([one for one in told if one is not None]))
    with app.database.read() as connection:
        stored = connection.execute(sa.select(broker_events.c.username)).scalars().all()
    assert stored == ["a", "c"]
    assert events.faults.failures == 1


# ---------------------------------------------------------------------- certificates


def test_a_certificate_that_cannot_be_revoked(app: App) -> None:
    async def reload() -> None: ...

    watch = CertificateWatch(app, reload, NOWHERE)
    revoked: list[str] = []

    class Orphan:
        def __init__(self, serial: str) -> None:
            self.serial, self.username = serial, "gone"

    class Ledger:
        def orphans(self) -> list[Orphan]:
            return [Orphan("1"), Orphan("2"), Orphan("3")]

    class Pki:
        def revoke(self, *, serial: str, reason: Any) -> None:
            if serial == "2":
                raise RuntimeError("bug")
            revoked.append(serial)

    watch._ledger, watch._pki = Ledger(), Pki()  # type: ignore[assignment]
    watch._revoke_orphans()
    watch._revoke_orphans()
    assert revoked == ["1", "3", "1", "3"]
    assert watch.faults.failures == 1, "the bad one waits"


def test_a_report_of_a_ca_that_cannot_be_recorded(app: App) -> None:
    for name in ("one", "two"):
        lamp = added(app, name)
        with app.database.write() as connection:
            connection.execute(
                sa.insert(device_state).values(
                    device_id=lamp.id, metadata='{"ca":"ab"}', metadata_at=now_ms()
                )
            )
    seen: list[str] = []

    class Pki:
        def authorities(self) -> list[str]:
            return ["ab", "cd"]

        def sightings(self) -> dict[str, Any]:
            return {}

        def seen(self, username: str, _authority: str) -> None:
            if "one" in username:
                raise RuntimeError("bug")
            seen.append(username)

    reader = SightingReader(app.database, Pki())  # type: ignore[arg-type]
    reader.read()
    assert len(seen) == 1
    assert reader.faults.failures == 1


# ---------------------------------------------------------------------- keeper


def test_a_message_that_breaks_the_roll_up(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    at = now_ms() - HOUR
    partitions.create_ahead(app.database, at)
    with app.database.write() as connection:
        connection.execute(
            sa.insert(channels).values(id=1, dialect="mooring", name="telemetry", kind="telemetry")
        )
        for number, payload in enumerate(
            ('{"values":{"t":1}}', '{"values":{"poison":1}}', '{"values":{"t":3}}'), 1
        ):
            connection.execute(
                sa.insert(messages).values(
                    id=number,
                    device_id=number,
                    channel_id=1,
                    ts=at,
                    received_at=at,
                    time_source=0,
                    fingerprint=number,
                    payload=payload,
                )
            )
        connection.execute(
            sa.insert(rollup_queue).values(
                first_id=1, last_id=3, first_ts=at, last_ts=at, claimed=0
            )
        )
    roller = Roller(app.database, lambda: app.catalogue)
    original = roller._extractors

    def poisoned(found: Any) -> Any:
        made = original(found)
        return {number: replace(how, find=picky(how.find)) for number, how in made.items()}

    monkeypatch.setattr(roller, "_extractors", poisoned)
    roller.catch_up(now_ms())
    with app.database.read() as connection:
        rolled = set(connection.execute(sa.select(rollups.c.device_id).distinct()).scalars())
    assert rolled == {1, 3}
    assert roller.faults.failures == 1


def picky(find: Callable[[Sequence[str]], Any]) -> Callable[[Sequence[str]], Any]:
    def found(texts: Sequence[str]) -> Any:
        if any("poison" in text for text in texts):
            raise RuntimeError("bug")
        return find(texts)

    return found


def test_a_clean_up_that_fails(app: App) -> None:
    done: list[str] = []

    def bad(_run: Any) -> Iterator[None]:
        raise RuntimeError("bug")
        yield

    def good(_run: Any) -> Iterator[None]:
        done.append("good")
        yield

    faults = quick()
    list(tidying.tidy(app.database, app.settings, now_ms(), [bad, good], faults))
    assert done == ["good"]
    assert faults.failures == 1


def test_a_device_whose_messages_cannot_be_deleted(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    each = [added(app, f"d{n}") for n in range(3)]
    with app.database.write() as connection:
        connection.execute(
            sa.insert(channels).values(id=1, dialect="iotflow", name="telemetry", kind="telemetry")
        )
    looked: list[int] = []

    def of_device(self: Any, device: int, *_: Any) -> Iterator[Any]:
        if device == each[1].id:
            raise RuntimeError("bug")
        looked.append(device)
        yield self.swept

    monkeypatch.setattr(sweeping._Run, "_of_device", of_device)
    faults = quick()
    run = sweeping._Run(app.database, Policy(5, 5, 5), now_ms(), faults)
    monkeypatch.setattr(run, "_days", lambda *_: 3)
    list(run.by_device(3))
    assert looked == [each[0].id, each[2].id]
    assert faults.failures == 1
