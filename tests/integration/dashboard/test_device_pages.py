"""Every page of one device: each role, another tenant, empty, full, broken, hostile texts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from mooring.alerts.changes import apply
from mooring.alerts.model import Bounds, Raise, Severity, Source
from mooring.app import App
from mooring.commands.model import NewCommand
from mooring.commands.service import Commands
from mooring.credentials.rotation.service import Rotations
from mooring.dashboard.data.device import TABS
from mooring.device_settings.model import Change
from mooring.device_settings.service import DeviceSettings
from mooring.devices.model import Device, NewDevice
from mooring.errors import NotFound
from mooring.identity.actor import SYSTEM
from mooring.presence.states.machine import Record, State
from mooring.presence.states.store import Changed, add_changes, pack
from mooring.serve.app import create_app
from mooring.store.engine import now_ms
from mooring.store.schema import broker_events, device_state, devices, presence, sequences
from tests.integration.dashboard.conftest import BrowserOf
from tests.integration.http.rows import say, spoil
from tests.support.dashboard import Browser, person
from tests.support.html import HOSTILE, Html, faults

ROLES = ("viewer", "operator", "admin")
PATHS = [f"/{tab}" if tab else "" for tab in TABS]
DATA = ("/chart.json?metric=t&span=1h", "/chart.csv?metric=t&span=1h")


def add(platform: App, name: str, tenant: str = "a", **more: Any) -> Device:
    return platform.devices.add(SYSTEM, NewDevice(name, "mooring", tenant, **more))[0].device


def fill(platform: App, device: Device, text: str, values: dict[str, Any]) -> None:
    """Everything that a device and people can say of it."""
    now = now_ms()
    for number in range(3):
        body = {"ts": now - number * 1000, "seq": number, "values": values, "meta": {text: text}}
        say(platform.database, device, now - number * 1000, body)
    spoil(platform.database, now, text.encode(), device=device)
    with platform.database.write() as connection:
        connection.execute(
            sa.update(devices).where(devices.c.id == device.id).values(label=text[:200])
        )
        row = {
            "last_seen_at": now,
            "firmware": text[:128],
            "connected": True,
            "address": "10.0.0.1",
        }
        row["metadata"] = json.dumps({text: text})
        connection.execute(sa.delete(device_state).where(device_state.c.device_id == device.id))
        connection.execute(sa.insert(device_state).values(device_id=device.id, **row))
        record = pack(Record(state=State.ONLINE, since=now, reason=text[:100]))
        connection.execute(
            sa.insert(presence).values(device_id=device.id, state="online", record=record)
        )
        changes = [(device.id, Changed(now - 3_600_000, State.OFFLINE, text[:100]))]
        add_changes(connection, changes)
        for event in ("refused", "connected"):
            said = {"at": now, "event": event, "username": device.username, "detail": text}
            connection.execute(sa.insert(broker_events).values(client_id=text[:300], **said))
        connection.execute(
            sa.insert(sequences).values(device_id=device.id, upto=1, above="[[5,6]]", gap_since=1)
        )
        raised = Raise(f"x:{device.id}", device.tenant, device.id, Source.DEVICE, text[:200],
                       Severity.ERROR, now)  # fmt: skip
        apply(connection, [raised], Bounds())
    new = NewCommand("restart", {text: text}, reason=text[:100] if text.isprintable() else "")
    platform.service(Commands).send(SYSTEM, device.username, new)
    change = Change({"note": text, "deep": {"rate": 1}})
    platform.service(DeviceSettings).change(SYSTEM, device.username, change)
    platform.service(Rotations).start(SYSTEM, device, reason=text[:100])


@pytest.fixture(scope="module")
def world(shared: App) -> Iterator[tuple[App, Any]]:
    full = add(shared, "full", groups=("g",))
    fill(shared, full, "a word", {"t": 21.5, "mode": "heat", "on": True})
    add(shared, "empty")
    add(shared, "other", "b")
    yield shared, create_app(shared)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("path", [*PATHS, *DATA])
def test_each_page_for_each_role(world: tuple[App, Any], role: str, path: str) -> None:
    platform, api = world
    browser = person(platform, api, role, "a")
    if path == "/audit" and role != "admin":  # as in the API
        assert browser.get(f"/devices/full{path}").status_code == 403
        assert "/devices/a:full/audit" not in browser.page("/devices/full").links
        return
    for name in ("full", "a:full", "empty"):
        answer = browser.get(f"/devices/{name}{path}")
        assert answer.status_code == 200, answer.text[:500]
        if path not in DATA:
            assert faults(answer.text) == []
    page = Html(browser.get(f"/devices/full{path}").text)
    sends = {target for target in page.targets if target.startswith("/devices")}
    assert not (role == "viewer" and sends), sends


@pytest.mark.parametrize("path", [*PATHS, *DATA])
def test_another_tenants_device_is_not_there(world: tuple[App, Any], path: str) -> None:
    platform, api = world
    browser = person(platform, api, "admin", "a")
    for name in ("other", "b:other", "none"):
        answer = browser.get(f"/devices/{name}{path}")
        assert answer.status_code == 404
        assert faults(answer.text) == []
    nobody = Browser(api).get(f"/devices/full{path}")
    assert nobody.status_code == 303


ACTIONS: tuple[tuple[str, dict[str, str]], ...] = (
    ("enable", {}),
    ("disable", {"confirm": "other"}),
    ("remove", {"confirm": "other"}),
    ("commands", {"name": "restart"}),
    ("commands/1/cancel", {}),
    ("settings", {"patch": '{"a": 1}'}),
    ("settings/adopt", {}),
    ("settings/resend", {}),
    ("credentials/rotate", {}),
    ("certificates", {}),
    ("certificates/aa/revoke", {"confirm": "other"}),
)


@pytest.mark.parametrize(("path", "form"), ACTIONS)
def test_no_action_on_another_tenants_device_nor_by_a_viewer(
    world: tuple[App, Any], path: str, form: dict[str, str]
) -> None:
    platform, api = world
    operator = person(platform, api, "operator", "a").post(f"/devices/b:other/{path}", form)
    assert operator.status_code == 404
    assert person(platform, api, "viewer", "a").post(f"/devices/full/{path}").status_code == 403


def test_what_full_pages_say(world: tuple[App, Any]) -> None:
    platform, api = world
    browser = person(platform, api, "admin", "a")
    now = browser.page("/devices/full")
    assert "21.5" in now.text and "heat" in now.text and "Verdict" in now.text
    assert "Connected for" in now.source
    assert "t: 21.5 to 21.5" in now.source  # its line; a text has none
    assert "sparkline" not in browser.page("/devices/empty").source
    assert "restart" in browser.page("/devices/full/commands").text
    settings = browser.page("/devices/full/settings").text
    assert "deep.rate" in settings and "device" in settings
    messages = browser.page("/devices/full/messages").text
    assert "2–4" in messages and "Missing numbers" in messages
    asked = "/devices/full/credentials?action=publish&topic="
    assert "may not publish" in browser.page(f"{asked}x/y").text
    assert "YOUR_PASSWORD" in browser.page(asked).source
    assert "command.send" in browser.page("/devices/full/audit").text
    chart = browser.get("/devices/full/chart.json?metric=t&span=1h").json()
    assert [one for one in chart["curves"][0]["max"] if one is not None] == [21.5] * 3
    assert chart["marks"][0]["kind"] == "alert"
    empty = browser.page("/devices/empty")
    assert "No values yet." in empty.text


def test_actions_are_stored_and_ask_for_the_name(platform: App, browser_of: BrowserOf) -> None:
    add(platform, "one")
    browser = browser_of("operator", tenant="a")
    refused = browser.post("/devices/one/disable", {"confirm": "two"})
    assert refused.status_code == 422 and faults(refused.text) == []
    assert platform.devices.get(SYSTEM, "one").enabled
    browser.post("/devices/one/disable", {"confirm": "one"})
    assert not platform.devices.get(SYSTEM, "one").enabled
    assert "/devices/a:one/enable" in browser.page("/devices/one").targets
    browser.post("/devices/one/enable")
    assert platform.devices.get(SYSTEM, "one").enabled
    bad = browser.post("/devices/one/commands", {"name": "keep-me", "parameters": "{"})
    assert bad.status_code == 422 and "keep-me" in bad.text and faults(bad.text) == []
    browser.do("/devices/one/commands", {"name": "restart", "parameters": '{"level": 3}'})
    (command,) = platform.service(Commands).listed(SYSTEM, device="one")
    assert command.parameters == {"level": 3}
    browser.do(f"/devices/one/commands/{command.id}/cancel")
    assert platform.service(Commands).get(SYSTEM, command.id).over
    browser.do("/devices/one/settings", {"patch": '{"rate": 10}', "version": "0.0"})
    stale = browser.post("/devices/one/settings", {"patch": '{"rate": 11}', "version": "0.0"})
    assert stale.status_code in (409, 412) and "rate" in stale.text
    assert browser.post("/devices/one/credentials/rotate").status_code == 303
    assert browser.post("/devices/one/remove", {"confirm": ""}).status_code == 422
    assert browser.post("/devices/one/remove", {"confirm": "one"}).status_code == 303
    with pytest.raises(NotFound):
        platform.devices.get(SYSTEM, "one")


def test_one_broken_device_spoils_no_page(platform: App, browser_of: BrowserOf) -> None:
    broken = add(platform, "broken")
    add(platform, "well")
    fill(platform, broken, "x", {f"metric{n}": n for n in range(512)} | {"big": "y" * 2**20})
    with platform.database.write() as connection:
        connection.execute(
            sa.update(devices).where(devices.c.id == broken.id).values(dialect="gone")
        )
    browser = browser_of("admin", tenant="a")
    for path in PATHS:
        answer = browser.get(f"/devices/broken{path}")
        assert answer.status_code == 200, (path, Html(answer.text).text[:800])
        assert faults(answer.text) == []
        assert len(answer.content) < 100_000, path
    assert "gone is not loaded" in browser.page("/devices/broken").text
    for query in ("", "?sort=-last_seen_at", "?by=dialect", "?problem=any"):
        listing = browser.page(f"/devices{query}")
        assert "broken" in listing.text
    assert "well" in browser.page("/devices?q=well").text


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_are_shown_as_text(world: tuple[App, Any], text: str) -> None:
    platform, api = world
    name = f"hostile-{HOSTILE.index(text)}"
    fill(platform, add(platform, name), text, {text: text, "n": 1})
    browser = person(platform, api, "admin", "a")
    for path in PATHS:
        answer = browser.get(f"/devices/{name}{path}")
        assert answer.status_code == 200, (path, Html(answer.text).text[:800])
        assert faults(answer.text) == [], path
    assert faults(browser.get("/devices?q=hostile").text) == []
    asked = {"metric": [text], "span": "1h"}
    table = browser.client.get(f"/devices/{name}/chart.csv", params=asked)
    for line in table.text.splitlines():
        assert not line.partition(",")[2].strip('"').startswith(("=", "+", "@"))
