"""Saved views on the page Devices."""

from __future__ import annotations

from mooring.app import App
from mooring.devices.model import NewDevice
from mooring.identity.actor import SYSTEM
from tests.integration.dashboard.conftest import BrowserOf
from tests.support.dashboard import Browser
from tests.support.html import HOSTILE, faults

SILENT = "state=silent&sort=-last_seen_at&col=label&col=firmware"


def test_a_view_is_saved_opened_and_removed(platform: App, browser_of: BrowserOf) -> None:
    platform.devices.add(SYSTEM, NewDevice("one", "mooring", "a"))
    viewer = browser_of("viewer", tenant="a")
    assert "/views" not in viewer.page("/devices").targets, "there is nothing to keep"
    form = viewer.page(f"/devices?{SILENT}&after=7").fields("/views")
    assert form["query"] == SILENT, "where a page begins is not kept"
    page = viewer.do("/views", {"name": "Quiet ones", "query": form["query"]})
    assert f"/devices?{SILENT}" in page.links and "was saved" in page.text
    assert "/views" not in page.targets and "/views/remove" in page.targets, "it is shown now"
    assert f"/devices?{SILENT}" in viewer.page("/devices").links
    gone = viewer.do("/views/remove", {"name": "Quiet ones"})
    assert f"/devices?{SILENT}" not in gone.links


def test_a_view_is_nobody_elses(platform: App, browser_of: BrowserOf) -> None:
    platform.devices.add(SYSTEM, NewDevice("one", "mooring", "a"))
    browser_of("operator", tenant="a").do("/views", {"name": "mine", "query": "q=mine"})
    for other in (browser_of("admin"), browser_of("admin", tenant="a"), browser_of("viewer")):
        assert "/devices?q=mine" not in other.page("/devices").links
        assert other.post("/views/remove", {"name": "mine"}).status_code == 404
    assert "/devices?q=mine" in browser_of("operator", tenant="a").page("/devices").links


def test_what_cannot_be_saved_is_said_at_its_form(platform: App, admin: Browser) -> None:
    platform.devices.add(SYSTEM, NewDevice("one", "mooring"))
    for form in ({"name": "", "query": "q=one"}, {"name": "n" * 65, "query": "q=one"}):
        answer = admin.post("/views", form)
        assert answer.status_code == 422 and faults(answer.text) == []
        assert 'aria-invalid="true"' in answer.text and 'value="q=one"' in answer.text
        assert form["name"] in answer.text
    for query in ("colour=red", "q=%00", "q=" + "x" * 2000, "&".join(["col=label"] * 51)):
        assert admin.post("/views", {"name": "x", "query": query}).status_code == 422
    assert "/views/remove" not in admin.page("/devices").targets


def test_hostile_names_and_queries_are_text(platform: App, admin: Browser) -> None:
    platform.devices.add(SYSTEM, NewDevice("one", "mooring"))
    for text in HOSTILE:
        answer = admin.client.post(
            "/views",
            data={"name": text, "query": f"q={text}"},
            headers={"Origin": "http://testserver"},
        )
        assert answer.status_code in (303, 422), text
    page = admin.page("/devices")
    assert page.text.count("<script>alert(1)</script>") == 1
