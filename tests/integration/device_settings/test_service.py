"""Settings of one device: levels, versions, limits, walls and what is masked."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa

from mooring.app import App
from mooring.device_settings.documents import MASK
from mooring.device_settings.levels import SettingsLevels
from mooring.device_settings.model import Change, Level
from mooring.device_settings.rules import State
from mooring.device_settings.service import DeviceSettings
from mooring.device_settings.worker import SettingsWorker
from mooring.errors import Conflict, Forbidden, Invalid, NotFound, Outdated
from mooring.identity.actor import SYSTEM, Actor, Role
from mooring.store.schema import audit, declared_for, desired, metadata
from tests.integration.device_settings.conftest import Add, patch, run

TENANT, DIALECT, GROUP = Level.TENANT, Level.DIALECT, Level.GROUP


def published(platform: App) -> dict[str, dict[str, Any]]:
    """Topic → the retained document that the broker is to have."""
    with platform.database.read() as connection:
        rows = connection.execute(
            sa.select(desired.c.topic, desired.c.payload, desired.c.sealed).where(
                desired.c.payload.is_not(None)
            )
        ).all()
    opened = platform.instance.unseal_bytes
    return {
        topic: json.loads(opened(payload) if sealed else payload) for topic, payload, sealed in rows
    }


def test_a_change_is_a_version_and_a_retained_document(
    platform: App, device: Add, own: DeviceSettings
) -> None:
    lamp = device("lamp")
    _, view = own.change(SYSTEM, "lamp", patch(interval_s=30, wifi={"ssid": "attic"}))
    assert (view.row.record.version, view.row.record.state) == (1, State.PENDING)
    assert view.etag == "1.1"
    (document,) = published(platform).values()
    assert document["version"] == 1
    assert document["config"] == {"interval_s": 30, "wifi": {"ssid": "attic"}}
    assert list(published(platform)) == ["mooring/a/lamp/config"]

    _, view = own.change(SYSTEM, "lamp", patch(wifi={"ssid": None}, name="x"))
    assert view.document == {"interval_s": 30, "wifi": {}, "name": "x"}
    assert view.row.record.version == 2
    _, view = own.change(SYSTEM, "lamp", patch(name="x"))
    assert (view.row.record.version, view.etag) == (2, "2.3")  # the same settings as before
    assert [entry.version for entry in own.history(SYSTEM, "lamp")[1]] == [2, 1]
    assert platform.devices.get(SYSTEM, "lamp") == lamp


def test_only_the_version_that_was_read_is_changed(device: Add, own: DeviceSettings) -> None:
    device("lamp")
    _, view = own.show(SYSTEM, "lamp")
    assert (view.etag, view.document, view.row.record.state) == ("0.0", {}, State.NONE)
    first = Change({"a": 1}, if_match=frozenset({"0.0"}))
    _, view = own.change(SYSTEM, "lamp", first)
    with pytest.raises(Outdated) as refusal:
        own.change(SYSTEM, "lamp", first)
    assert refusal.value.context["version"] == view.etag == "1.1"
    own.change(SYSTEM, "lamp", Change({"a": 2}, if_match=frozenset({"9.9", "1.1"})))


def test_parallel_changes_have_versions_without_gap_or_twin(
    platform: App, device: Add, own: DeviceSettings
) -> None:
    device("lamp")
    number = 60

    def change(at: int) -> int:
        return own.change(SYSTEM, "lamp", patch(**{f"k{at % 7}": at}))[1].row.record.version

    with ThreadPoolExecutor(8) as pool:
        versions = list(pool.map(change, range(number)))
    assert sorted(versions) == list(range(1, number + 1))
    (document,) = published(platform).values()
    assert document["version"] == number
    assert document["config"] == own.show(SYSTEM, "lamp")[1].document


def test_the_more_special_level_wins(
    device: Add, own: DeviceSettings, levels: SettingsLevels, worker: SettingsWorker
) -> None:
    device("lamp", groups=("east", "west"), dialect="iotflow")
    everywhere = {"who": "tenant", "tenant": 1, "deep": {"a": 1, "b": 1}}
    levels.change(SYSTEM, "a", TENANT, "a", Change(everywhere))
    levels.change(SYSTEM, "a", DIALECT, "iotflow", patch(who="dialect", deep={"b": 2}))
    levels.change(SYSTEM, "a", GROUP, "east", patch(who="east"), priority=2)
    levels.change(SYSTEM, "a", GROUP, "west", patch(who="west", west=1), priority=1)
    run(worker)
    _, view = own.show(SYSTEM, "lamp")
    assert view.document == {"who": "east", "tenant": 1, "deep": {"a": 1, "b": 2}, "west": 1}
    assert [str(one.key.level) for one in view.levels] == ["tenant", "dialect", "group", "group"]
    _, view = own.change(SYSTEM, "lamp", patch(who="device"))
    assert view.document["who"] == "device"
    _, view = own.change(SYSTEM, "lamp", patch(who=None))
    assert view.document["who"] == "east"  # without a value of its own
    _, view = own.change(SYSTEM, "lamp", Change({"west": None, "tenant": None}, whole=True))
    assert view.document == {"who": "east", "deep": {"a": 1, "b": 2}}


def test_what_a_device_cannot_take_is_rejected_with_both_numbers(
    platform: App, device: Add, own: DeviceSettings
) -> None:
    device("lamp")
    device("board", dialect="smarthome")
    device("trap", dialect="drivesafe")
    with pytest.raises(Invalid) as refusal:
        own.change(SYSTEM, "lamp", patch(text="x" * 8192))
    assert refusal.value.slug == "settings_too_large"
    assert refusal.value.context["most"] == 8192
    with pytest.raises(Invalid) as refusal:
        own.change(SYSTEM, "board", patch(text="x" * 200))
    assert refusal.value.slug == "packet_too_large"
    assert refusal.value.context["most"] == 256
    assert refusal.value.context["bytes"] > 256
    with pytest.raises(Invalid) as refusal:
        own.change(SYSTEM, "trap", patch(a=1))
    assert refusal.value.slug == "settings_not_supported"
    assert published(platform) == {}
    assert own.show(SYSTEM, "lamp")[1].etag == "0.0"


SCHEMA = {
    "properties": {
        "interval_s": {"type": "integer", "minimum": 1},
        "wifi": {"properties": {"password": {"type": "string", "x-secret": True}}},
    },
    "required": ["interval_s"],
}


def set_schema(levels: SettingsLevels, schema: Any = SCHEMA) -> None:
    levels.set_schema(SYSTEM, "a", TENANT, "a", json.dumps(schema).encode())


def test_settings_that_break_a_schema_are_rejected_with_their_path(
    device: Add, own: DeviceSettings, levels: SettingsLevels
) -> None:
    device("lamp")
    set_schema(levels)
    for bad, path in (({"interval_s": 0}, "interval_s"), ({"other": 1}, ".")):
        with pytest.raises(Invalid) as refusal:
            own.change(SYSTEM, "lamp", Change(bad))
        assert refusal.value.slug == "settings_break_schema"
        assert refusal.value.context["mistakes"][0]["path"] == path
    with pytest.raises(Invalid):
        levels.change(SYSTEM, "a", DIALECT, "mooring", patch(interval_s="x"))
    levels.change(SYSTEM, "a", DIALECT, "mooring", patch(other=1))  # others add what is required
    own.change(SYSTEM, "lamp", patch(interval_s=5))


def test_secret_fields_are_sealed_and_never_shown(
    platform: App, device: Add, own: DeviceSettings, levels: SettingsLevels
) -> None:
    device("lamp")
    set_schema(levels)
    secret = "correct horse battery"
    change = patch(interval_s=5, wifi={"ssid": "attic", "password": secret})
    _, view = own.change(SYSTEM, "lamp", change)
    shown = {"interval_s": 5, "wifi": {"ssid": "attic", "password": MASK}}
    assert view.document == view.own.document == shown
    assert own.history(SYSTEM, "lamp")[1][0].document == shown
    assert own.show(SYSTEM, "lamp")[1].levels[-1].document == shown
    # What was shown can be sent back.
    _, view = own.change(SYSTEM, "lamp", Change({**shown, "interval_s": 6}, whole=True))
    (document,) = published(platform).values()
    assert document["config"] == {"interval_s": 6, "wifi": {"ssid": "attic", "password": secret}}
    assert document["secret"] == [["wifi", "password"]]
    with platform.database.read() as connection:
        for table in metadata.sorted_tables:
            if not declared_for(table, platform.database.dialect):
                continue
            assert secret not in str(connection.execute(sa.select(table)).all()), table.name


def test_another_tenants_settings_are_not_there(
    device: Add, own: DeviceSettings, levels: SettingsLevels
) -> None:
    device("lamp", tenant="a")
    device("lamp2", tenant="b")
    ada = Actor("ada", Role.ADMIN, "b")
    with pytest.raises(NotFound):
        own.show(ada, "a:lamp")
    with pytest.raises(NotFound):
        own.change(ada, "a:lamp", patch(x=1))
    for call in (levels.show, levels.schema):
        with pytest.raises(NotFound) as refusal:
            call(ada, "a", TENANT, "a")
        assert refusal.value.slug == "tenant_not_found"
    with pytest.raises(NotFound):
        levels.change(ada, "a", GROUP, "g", patch(x=1))
    with pytest.raises(NotFound):
        levels.page(ada, "a")


def test_viewers_change_nothing_and_operators_only_devices(
    device: Add, own: DeviceSettings, levels: SettingsLevels
) -> None:
    device("lamp")
    viewer, operator = Actor("v", Role.VIEWER, "a"), Actor("o", Role.OPERATOR, "a")
    for call in (
        lambda: own.change(viewer, "lamp", patch(x=1)),
        lambda: own.adopt(viewer, "lamp"),
        lambda: own.resend(viewer, "lamp"),
        lambda: levels.change(operator, "a", TENANT, "a", patch(x=1)),
        lambda: levels.set_schema(operator, "a", TENANT, "a", b"{}"),
    ):
        with pytest.raises(Forbidden):
            call()
    own.show(viewer, "lamp")
    own.change(operator, "lamp", patch(x=1))


def test_everything_has_a_limit(
    platform: App, device: Add, own: DeviceSettings, levels: SettingsLevels
) -> None:
    device("lamp")
    for number in range(4):
        levels.change(SYSTEM, "a", GROUP, f"g{number}", patch(x=1))
    with pytest.raises(Conflict) as refusal:
        levels.change(SYSTEM, "a", GROUP, "more", patch(x=1))
    assert refusal.value.slug == "limit_reached"
    levels.change(SYSTEM, "a", GROUP, "g0", patch(x=2))
    for number in range(2):
        levels.set_schema(SYSTEM, "a", GROUP, f"g{number}", b"{}")
    levels.set_schema(SYSTEM, "a", GROUP, "g1", b'{"title":"another"}')
    with pytest.raises(Conflict) as refusal:
        levels.set_schema(SYSTEM, "a", GROUP, "g2", b"{}")
    assert refusal.value.slug == "limit_reached"
    for number in range(6):
        own.change(SYSTEM, "lamp", patch(x=number))
    kept = own.history(SYSTEM, "lamp")[1]
    assert [entry.version for entry in kept] == [6, 5, 4]
    assert [e.version for e in own.history(SYSTEM, "lamp", before=6, limit=1)[1]] == [5]


def test_levels_are_checked(levels: SettingsLevels, device: Add) -> None:
    device("lamp")
    for level, name, priority in (
        (TENANT, "other", None),
        (Level.DEVICE, "lamp", None),
        (GROUP, "a/b", None),
        (DIALECT, "mooring", 3),
        (GROUP, "g", 10**9),
    ):
        with pytest.raises(Invalid):
            levels.change(SYSTEM, "a", level, name, patch(x=1), priority=priority)
    with pytest.raises(NotFound):
        levels.change(SYSTEM, "a", DIALECT, "klingon", patch(x=1))
    with pytest.raises(Invalid):
        levels.change(SYSTEM, "a", GROUP, "g", Change({"x": 1}, guard_ms=60_000))
    view = levels.change(SYSTEM, "a", GROUP, "g", patch(x=1))
    with pytest.raises(Outdated):
        levels.change(SYSTEM, "a", GROUP, "g", Change({}, if_match=frozenset({"0"})))
    assert view.etag == "1"
    assert [view.row.key.name for _, view in levels.page(SYSTEM, "a")] == ["g"]


def test_every_change_is_in_the_audit(
    platform: App, device: Add, own: DeviceSettings, levels: SettingsLevels
) -> None:
    device("lamp")
    own.change(SYSTEM, "lamp", Change({"x": 1}, reason="ticket 7"))
    own.resend(SYSTEM, "lamp")
    levels.change(SYSTEM, "a", GROUP, "g", patch(x=1))
    set_schema(levels, {})
    with platform.database.read() as connection:
        rows = connection.execute(
            sa.select(audit.c.action, audit.c.subject, audit.c.tenant, audit.c.reason)
            .where(audit.c.action.startswith("settings."))
            .order_by(audit.c.id)
        ).all()
    assert [tuple(row) for row in rows] == [
        ("settings.change", "a:lamp", "a", "ticket 7"),
        ("settings.resend", "a:lamp", "a", ""),
        ("settings.change", "group g", "a", ""),
        ("settings.schema", "tenant a", "a", ""),
    ]


@pytest.mark.attack("is added under the name of a removed device")
def test_a_name_that_is_used_again_has_no_settings_of_its_former_owner(
    platform: App, device: Add, own: DeviceSettings
) -> None:
    device("lamp")
    for number in range(5):
        own.change(SYSTEM, "lamp", patch(pin=number))
    platform.devices.remove(SYSTEM, "lamp")
    device("lamp")
    _, view = own.show(SYSTEM, "lamp")
    assert (view.document, view.row.record.version) == ({}, 0)
    own.change(SYSTEM, "lamp", patch(x=1))
    (document,) = published(platform).values()
    assert (document["version"], document["config"]) == (1, {"x": 1})


def test_the_settings_of_a_removed_device_are_gone(
    platform: App, device: Add, own: DeviceSettings
) -> None:
    device("lamp")
    own.change(SYSTEM, "lamp", patch(x=1))
    platform.devices.remove(SYSTEM, "lamp")
    with platform.database.read() as connection:
        for table in metadata.sorted_tables:
            if table.name.startswith("device_settings"):
                assert connection.execute(sa.select(table)).all() == [], table.name
