"""The worker: changes of levels in steps, what became of versions, guarded changes, kills."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.app import App
from mooring.device_settings import store
from mooring.device_settings.apply import Applying
from mooring.device_settings.levels import SettingsLevels
from mooring.device_settings.model import Change, Level
from mooring.device_settings.projection import SettingsReported
from mooring.device_settings.rules import REFUSALS_MAX, Report, State
from mooring.device_settings.service import DeviceSettings
from mooring.device_settings.worker import SettingsWorker
from mooring.devices.attributes.model import Source
from mooring.devices.model import Device, NewDevice
from mooring.dialects import load_all
from mooring.downlink.rules import State as DownlinkState
from mooring.errors import Conflict, Invalid
from mooring.identity.actor import SYSTEM, Actor, Role
from mooring.store.engine import now_ms
from mooring.store.schema import (
    audit,
    broker_events,
    counters,
    desired,
    device_settings_levels,
    device_settings_progress,
    device_state,
    downlinks,
)
from tests.integration.device_settings.conftest import Add, patch, run

TENANT, DIALECT, GROUP = Level.TENANT, Level.DIALECT, Level.GROUP


def counters_of(connection: Connection) -> dict[str, int]:
    rows = connection.execute(sa.select(counters.c.name, counters.c.value)).all()
    return dict(rows)  # type: ignore[arg-type]


def versions(platform: App) -> dict[int, int]:
    with platform.database.read() as connection:
        return {
            number: row.record.version
            for number, row in store.rows(connection, platform.instance, range(1, 100)).items()
        }


def broker_takes_everything(platform: App) -> None:
    with platform.database.write() as connection:
        connection.execute(sa.update(desired).values(pending=False))


def says(platform: App, device: Device, *reports: Report) -> None:
    """What ingest does with reports."""
    with platform.database.write() as connection:
        rows = [(device.id, report) for report in reports]
        SettingsReported(platform.instance).apply(connection, rows)


def ok(version: int, **document: Any) -> Report:
    return Report(version, True, now_ms(), document=json.dumps(document))


def refusal(version: int, words: str = "no such network") -> Report:
    return Report(version, False, now_ms(), words=words)


def session(platform: App, device: Device, at: int | None) -> None:
    values = {"connected": at is not None, "connected_at": at or now_ms()}
    with platform.database.write() as connection:
        where = device_state.c.device_id == device.id
        if not connection.execute(sa.update(device_state).where(where).values(values)).rowcount:
            connection.execute(sa.insert(device_state).values(device_id=device.id, **values))


def test_a_change_of_a_level_reaches_its_devices_and_no_other(
    platform: App, device: Add, levels: SettingsLevels, worker: SettingsWorker
) -> None:
    run(worker)
    mine = [device(f"lamp{n}") for n in range(7)]
    other_dialect = device("hub", dialect="pulse")
    other_tenant = device("lamp", tenant="b")
    view = levels.change(SYSTEM, "a", DIALECT, "mooring", patch(interval_s=30))
    assert view.row.pending
    assert run(worker) >= 3  # in batches of three
    assert versions(platform) == {one.id: 1 for one in mine}
    assert not levels.show(SYSTEM, "a", DIALECT, "mooring").row.pending
    levels.change(SYSTEM, "a", TENANT, "a", patch(interval_s=60))
    run(worker)  # the dialect still decides for its devices
    assert versions(platform) == {one.id: 1 for one in mine} | {other_dialect.id: 1}
    assert other_tenant.id not in versions(platform)


def test_a_killed_worker_is_continued_where_it_was(
    platform: App, device: Add, levels: SettingsLevels, worker: SettingsWorker
) -> None:
    run(worker)
    mine = [device(f"lamp{n}") for n in range(8)]
    run(worker)
    levels.change(SYSTEM, "a", TENANT, "a", patch(x=1))
    worker.step()
    worker.step()
    done = len(versions(platform))
    assert 0 < done < 8
    with platform.database.read() as connection:
        upto = connection.execute(sa.select(device_settings_levels.c.applied_upto)).scalar()
    assert upto == mine[done - 1].id
    following = SettingsWorker(
        platform.database, platform.service(Applying), platform.settings, batch=3
    )
    run(following)
    assert versions(platform) == {one.id: 1 for one in mine}


def test_a_change_during_a_change_is_applied_to_all(
    platform: App, device: Add, own: DeviceSettings, levels: SettingsLevels, worker: SettingsWorker
) -> None:
    run(worker)
    for number in range(8):
        device(f"lamp{number}")
    run(worker)
    levels.change(SYSTEM, "a", TENANT, "a", patch(x=1))
    worker.step()
    levels.change(SYSTEM, "a", TENANT, "a", patch(x=2))
    run(worker)
    assert {own.show(SYSTEM, f"lamp{n}")[1].document["x"] for n in range(8)} == {2}
    assert set(versions(platform).values()) == {1, 2}


def test_a_device_that_is_added_gets_what_the_levels_say(
    platform: App, device: Add, own: DeviceSettings, levels: SettingsLevels, worker: SettingsWorker
) -> None:
    device("first")
    levels.change(SYSTEM, "a", TENANT, "a", patch(x=1))
    run(worker)
    device("late")
    device("elsewhere", tenant="b")
    run(worker)
    assert own.show(SYSTEM, "late")[1].document == {"x": 1}
    with platform.database.read() as connection:
        progress = connection.execute(sa.select(device_settings_progress)).one()
        # Nothing is due, so nothing is read again.
        assert worker.is_needed((False, progress.devices_version, 0, 0)) is False
    assert own.show(SYSTEM, "b:elsewhere")[1].row.record.version == 0


def test_settings_that_a_device_cannot_take_are_held_back_and_say_why(
    platform: App, device: Add, own: DeviceSettings, levels: SettingsLevels, worker: SettingsWorker
) -> None:
    for name, dialect in (("board", "smarthome"), ("lamp", "mooring")):
        device(name, dialect=dialect)
    levels.change(SYSTEM, "a", TENANT, "a", patch(text="x" * 200))
    run(worker)
    assert own.show(SYSTEM, "lamp")[1].row.record.version == 1
    held = own.show(SYSTEM, "board")[1].row
    assert (held.record.version, held.record.state) == (0, State.NONE)
    assert "256" in held.problem
    levels.change(SYSTEM, "a", TENANT, "a", patch(text="x"))
    run(worker)
    after = own.show(SYSTEM, "board")[1].row
    assert (after.record.version, after.problem) == (1, "")
    with platform.database.read() as connection:
        assert counters_of(connection)["device_settings_held_back"] == 1


def test_sent_is_what_the_broker_has_and_in_sync_what_the_device_reports(
    platform: App, device: Add, own: DeviceSettings, worker: SettingsWorker
) -> None:
    lamp = device("lamp")

    def state() -> State:
        return own.show(SYSTEM, "lamp")[1].row.record.state

    own.change(SYSTEM, "lamp", patch(x=1))
    run(worker)
    assert state() is State.PENDING
    broker_takes_everything(platform)
    run(worker)
    assert state() is State.SENT
    says(platform, lamp, ok(1, x=1))
    assert state() is State.IN_SYNC
    own.change(SYSTEM, "lamp", patch(x=2))
    assert state() is State.PENDING
    says(platform, lamp, ok(1, x=1))
    assert state() is State.PENDING
    broker_takes_everything(platform)
    run(worker)
    says(platform, lamp, ok(2, x=5))
    _, view = own.show(SYSTEM, "lamp")
    assert (view.differs, view.reported, view.document) == (True, {"x": 5}, {"x": 2})


def test_five_refusals_stop_it_and_a_person_sends_it_again(
    platform: App, device: Add, own: DeviceSettings, worker: SettingsWorker
) -> None:
    lamp = device("lamp")
    own.change(SYSTEM, "lamp", patch(x=1))
    broker_takes_everything(platform)
    run(worker)
    says(platform, lamp, *[refusal(1)] * (REFUSALS_MAX - 1))
    run(worker)
    with platform.database.read() as connection:
        assert connection.execute(sa.select(desired.c.payload)).scalar() is not None
    says(platform, lamp, refusal(1, "no such network"))
    run(worker)
    _, view = own.show(SYSTEM, "lamp")
    assert view.row.record.state is State.STOPPED
    assert view.row.record.words == "no such network"
    with platform.database.read() as connection:
        assert connection.execute(sa.select(desired.c.payload)).scalar() is None
        stop = connection.execute(
            sa.select(audit.c.subject, audit.c.reason).where(audit.c.action == "settings.stop")
        ).one()
        assert counters_of(connection)["device_settings_stopped"] == 1
    assert tuple(stop) == ("a:lamp", "no such network")
    (said,) = own.refusing(SYSTEM)
    assert "a:lamp" in said
    assert "no such network" in said
    assert own.refusing(Actor("mallory", Role.ADMIN, "b")) == []
    own.resend(SYSTEM, "lamp")
    assert own.refusing(SYSTEM) == []
    with platform.database.read() as connection:
        assert connection.execute(sa.select(desired.c.payload)).scalar() is not None
    says(platform, lamp, ok(1, x=1))
    run(worker)
    assert own.show(SYSTEM, "lamp")[1].row.record.state is State.IN_SYNC


def test_what_a_device_has_changed_is_adopted(
    platform: App, device: Add, own: DeviceSettings, levels: SettingsLevels, worker: SettingsWorker
) -> None:
    lamp = device("lamp")
    with pytest.raises(Conflict) as nothing:
        own.adopt(SYSTEM, "lamp")
    assert nothing.value.slug == "nothing_reported"
    levels.change(SYSTEM, "a", TENANT, "a", patch(interval_s=30, mode="day", deep={"a": 1}))
    run(worker)
    has = {"interval_s": 10, "deep": {"a": 1, "b": None}}
    says(platform, lamp, ok(1, **has))
    assert own.show(SYSTEM, "lamp")[1].document == {
        "interval_s": 30,
        "mode": "day",
        "deep": {"a": 1},
    }
    _, view = own.adopt(SYSTEM, "lamp")
    assert view.document == {"interval_s": 10, "deep": {"a": 1}}
    assert view.own.document == {"interval_s": 10, "mode": None}
    assert view.row.record.version == 2


def guarded(own: DeviceSettings, **document: Any) -> None:
    own.change(SYSTEM, "lamp", Change(document, guard_ms=600_000))


def end_the_guard(platform: App) -> None:
    with platform.database.write() as connection:
        open_ = device_settings_levels.c.guard_until.is_not(None)
        late = sa.update(device_settings_levels).where(open_)
        connection.execute(late.values(guard_until=now_ms() - 1))


def test_a_guarded_change_that_is_not_confirmed_is_taken_back(
    platform: App, device: Add, own: DeviceSettings, worker: SettingsWorker
) -> None:
    lamp = device("lamp")
    session(platform, lamp, now_ms() - 60_000)
    own.change(SYSTEM, "lamp", patch(wifi="attic"))
    guarded(own, wifi="attik")
    broker_takes_everything(platform)
    run(worker)
    says(platform, lamp, ok(2, wifi="attik"))  # in the session in which it got it
    run(worker)
    assert own.show(SYSTEM, "lamp")[1].own.guard is not None
    session(platform, lamp, None)
    run(worker)
    assert own.show(SYSTEM, "lamp")[1].document == {"wifi": "attik"}
    end_the_guard(platform)
    run(worker)
    _, view = own.show(SYSTEM, "lamp")
    assert (view.document, view.row.record.version) == ({"wifi": "attic"}, 3)
    assert view.own.guard is None
    with platform.database.read() as connection:
        assert counters_of(connection)["device_settings_reverted"] == 1


def test_a_guarded_change_is_confirmed_by_a_report_in_a_new_session(
    platform: App, device: Add, own: DeviceSettings, worker: SettingsWorker
) -> None:
    lamp = device("lamp")
    session(platform, lamp, now_ms() - 60_000)
    guarded(own, wifi="attic")
    broker_takes_everything(platform)
    run(worker)
    session(platform, lamp, now_ms() - 1)
    says(platform, lamp, ok(1, wifi="attic"))
    run(worker)
    assert own.show(SYSTEM, "lamp")[1].own.guard is None
    end_the_guard(platform)
    run(worker)
    assert own.show(SYSTEM, "lamp")[1].row.record.version == 1


def test_a_device_that_is_back_before_the_worker_looks_has_confirmed(
    platform: App, device: Add, own: DeviceSettings, worker: SettingsWorker
) -> None:
    """The worker was away meanwhile: the lease of a killed one lasts for seconds."""
    lamp = device("lamp")
    session(platform, lamp, now_ms() - 60_000)
    guarded(own, wifi="attic")
    broker_takes_everything(platform)
    says(platform, lamp, ok(1, wifi="attic"))
    session(platform, lamp, now_ms() - 1)
    says(platform, lamp, ok(1, wifi="attic"))
    run(worker)
    assert own.show(SYSTEM, "lamp")[1].own.guard is None
    end_the_guard(platform)
    run(worker)
    assert own.show(SYSTEM, "lamp")[1].document == {"wifi": "attic"}


def test_two_guarded_changes_go_back_to_what_was_before_both(
    platform: App, device: Add, own: DeviceSettings, worker: SettingsWorker
) -> None:
    device("lamp")
    own.change(SYSTEM, "lamp", patch(wifi="attic"))
    guarded(own, wifi="attik")
    guarded(own, wifi="attikk")
    end_the_guard(platform)
    run(worker)
    assert own.show(SYSTEM, "lamp")[1].document == {"wifi": "attic"}
    guarded(own, wifi="cellar")
    own.change(SYSTEM, "lamp", patch(wifi="roof"))  # a person has decided
    run(worker)
    _, view = own.show(SYSTEM, "lamp")
    assert (view.document, view.own.guard) == ({"wifi": "roof"}, None)


TEXT = """
name = "plain"
title = "Plain"
username = "{device}"

[placeholders]
device = "device"

[[channels]]
name = "telemetry"
topic = "plain/{device}/up"
direction = "up"
kind = "telemetry"

[[channels]]
name = "config"
topic = "plain/{device}/config"
direction = "down"
kind = "config"
payload.identifier = "version"
payload.values = "config"

[[channels]]
name = "config_reported"
topic = "plain/{device}/config/reported"
direction = "up"
kind = "config_reported"
payload.reply_to = "version"
payload.values = "config"
"""


def test_where_nothing_is_retained_the_newest_version_is_a_downlink_until_reported(
    platform: App, tmp_path: Path
) -> None:
    (tmp_path / "dialects").mkdir()
    (tmp_path / "dialects" / "plain.toml").write_text(TEXT)
    catalogue = load_all(tmp_path / "dialects")
    applying = replace(platform.service(Applying), catalogue=catalogue)
    devices = replace(platform.devices, catalogue=catalogue)
    own = DeviceSettings(platform.database, devices, applying)
    lamp = devices.add(SYSTEM, NewDevice("lamp", "plain", "a"))[0].device
    for number in range(3):
        own.change(SYSTEM, "lamp", patch(x=number))
    with platform.database.read() as connection:
        rows = connection.execute(
            sa.select(downlinks.c.state, downlinks.c.payload).order_by(downlinks.c.id)
        ).all()
    assert [row.state for row in rows] == [
        DownlinkState.CANCELLED,
        DownlinkState.CANCELLED,
        DownlinkState.QUEUED,
    ]
    assert json.loads(rows[-1].payload) == {"version": 3, "config": {"x": 2}}
    following = SettingsWorker(platform.database, applying, platform.settings)

    def sent(at: int) -> None:
        """The sender has handed it over."""
        with platform.database.write() as connection:
            open_ = downlinks.c.state == str(DownlinkState.QUEUED)
            taken: dict[str, Any] = {"state": "sent", "sent_at": at, "answered_at": at}
            taken |= {"finished_at": at, "open_key": None, "payload": None}
            assert connection.execute(sa.update(downlinks).where(open_).values(taken)).rowcount

    def again() -> bool:
        """Whether another one waits."""
        following.follow_sessions()
        with platform.database.read() as connection:
            states = connection.execute(sa.select(downlinks.c.state)).scalars().all()
        return states.count(str(DownlinkState.QUEUED)) == 1

    def connects(at: int) -> None:
        session(platform, lamp, at)
        with platform.database.write() as connection:
            row = {"at": at, "event": "connected", "username": lamp.username, "detail": ""}
            connection.execute(sa.insert(broker_events).values(row))

    now = now_ms()
    connects(now - 900)
    assert again()
    sent(now - 800)
    assert not again()  # it has it in this session
    connects(now - 700)
    assert again()
    assert json.loads(newest_payload(platform)) == {"version": 3, "config": {"x": 2}}
    sent(now - 600)
    connects(now - 500)
    assert again()
    says(platform, lamp, ok(3, x=2))
    following.follow_reports()
    connects(now - 400)
    assert not again()
    assert own.show(SYSTEM, "lamp")[1].row.record.state is State.IN_SYNC


def newest_payload(platform: App) -> bytes:
    with platform.database.read() as connection:
        newest = sa.select(downlinks.c.payload).order_by(downlinks.c.id.desc()).limit(1)
        return bytes(connection.execute(newest).scalar_one())


def test_a_type_counts_if_people_gave_it_and_a_device_s_own_word_does_not(
    platform: App, device: Add, own: DeviceSettings, levels: SettingsLevels, worker: SettingsWorker
) -> None:
    lamp, spy = device("lamp"), device("spy")
    levels.change(SYSTEM, "a", Level.TYPE, "bulb", patch(x=1))
    with platform.database.write() as connection:
        platform.devices.give(connection, spy, {"type": "bulb"}, Source.DEVICE, "")
    run(worker)
    platform.attributes.change(SYSTEM, "lamp", {"type": "bulb"})
    run(worker)
    assert own.show(SYSTEM, "lamp")[1].document == {"x": 1}
    assert own.show(SYSTEM, "spy")[1].document == {}
    platform.attributes.change(SYSTEM, "lamp", {"type": None, "max_packet": 200})
    run(worker)
    assert own.show(SYSTEM, "lamp")[1].document == {}
    assert versions(platform) == {lamp.id: 2}
    with pytest.raises(Invalid) as refusal:
        own.change(SYSTEM, "lamp", patch(text="x" * 200))
    assert refusal.value.context["most"] == 200
