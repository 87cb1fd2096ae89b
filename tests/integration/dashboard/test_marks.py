"""Charts show when a device reported another version of its firmware."""

from __future__ import annotations

from mooring.app import App
from mooring.devices.model import NewDevice
from mooring.identity.actor import SYSTEM
from mooring.presence.firmware_store import add_versions
from mooring.store.engine import now_ms
from tests.integration.dashboard.conftest import BrowserOf
from tests.support.dashboard import Browser
from tests.support.html import HOSTILE, faults


def test_a_change_of_firmware_is_a_mark_of_its_span(platform: App, browser_of: BrowserOf) -> None:
    device = platform.devices.add(SYSTEM, NewDevice("kiln", "mooring", "a"))[0].device
    platform.devices.add(SYSTEM, NewDevice("other", "mooring", "b"))
    now = now_ms()
    rows = [(device.id, now - 7_200_000, "1.0"), (device.id, now - 60_000, "1.1")]
    with platform.database.write() as connection:
        add_versions(connection, rows)
    viewer = browser_of("viewer", tenant="a")
    for span, versions in (("1h", ["1.1"]), ("24h", ["1.0", "1.1"])):
        found = viewer.get(f"/devices/kiln/chart.json?metric=t&span={span}").json()["marks"]
        assert [(one["kind"], one["text"]) for one in found] == [("firmware", v) for v in versions]
    page = viewer.page("/devices/kiln/firmware")
    assert page.text.index("1.1") < page.text.index("1.0"), "the newest first"
    assert browser_of("admin", tenant="b").get("/devices/a:kiln/chart.json").status_code == 404


def test_hostile_versions_are_text(platform: App, admin: Browser) -> None:
    device = platform.devices.add(SYSTEM, NewDevice("kiln", "mooring"))[0].device
    with platform.database.write() as connection:
        add_versions(connection, [(device.id, n, text[:128]) for n, text in enumerate(HOSTILE)])
    answer = admin.get("/devices/default:kiln/firmware")
    assert answer.status_code == 200 and faults(answer.text) == []
    assert "&lt;script&gt;alert(1)" in answer.text
