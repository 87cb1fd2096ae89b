"""The list of devices, and acting on many of them."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from mooring.app import App
from mooring.devices.model import NewDevice
from mooring.identity.actor import SYSTEM
from mooring.jobs.service import Jobs
from mooring.pki.fleet.service import DeviceCertificates, Health
from mooring.settings import Settings
from tests.integration.dashboard.conftest import BrowserOf
from tests.support.dashboard import Browser
from tests.support.html import HOSTILE, faults


def add(platform: App, name: str, tenant: str = "default", **more: object) -> None:
    platform.devices.add(SYSTEM, NewDevice(name, "pulse", tenant, **more))  # type: ignore[arg-type]


def test_an_empty_list_says_what_will_appear(browser_of: BrowserOf) -> None:
    page = browser_of("viewer").page("/devices")
    assert "No devices yet." in page.text
    assert "/devices/new" not in page.links
    assert "/devices/new" in browser_of("operator").page("/devices").links


def test_filters_order_and_pages_are_in_the_address(platform: App, admin: Browser) -> None:
    for number in range(60):
        add(platform, f"d{number:02}", label="Kitchen" if number % 2 else "")
    page = admin.page("/devices?q=kitchen&sort=-name")
    assert "30 devices match" in page.text
    assert page.text.index("d59") < page.text.index("d01")
    first = admin.page("/devices?sort=-name&col=label")
    assert "60 devices" in first.text
    (following,) = [href for href in first.links if "after=" in href]
    assert parse_qs(urlsplit(following).query)["sort"] == ["-name"]
    second = admin.page(f"/devices{following}")
    assert "d09" in second.text and "d10" not in second.text
    sorted_by = [t.attributes["aria-sort"] for t in second.all("th") if "aria-sort" in t.attributes]
    assert sorted_by.count("descending") == 1 and sorted_by[0] == "descending"
    counted = admin.page("/devices?by=dialect")
    assert "Devices by dialect" in counted.text
    assert any("dialect=pulse" in href for href in counted.links)


@pytest.mark.parametrize(
    "query",
    ["where=(((", "silent=soon", "state=none", "after=x", "sort=%2B%2B", "group=none", "by=x"],
)
def test_an_address_that_is_not_valid_says_so_and_keeps_what_was_typed(
    platform: App, admin: Browser, query: str
) -> None:
    add(platform, "one")
    page = admin.page(f"/devices?{query}")
    name, _, value = query.partition("=")
    if name in ("where", "silent", "group"):
        assert value in page.source
    else:
        assert "one" in page.text


def test_a_job_for_all_that_match_and_for_the_ticked(platform: App, browser_of: BrowserOf) -> None:
    for tenant in ("default", "b"):
        for name in ("one", "two"):
            add(platform, name, tenant, label="x" if name == "one" else "")
    browser = browser_of("operator")
    form = {"kind": "command", "name": "restart", "which": "all", "q": "one"}
    answer = browser.post("/devices/act", form)
    assert answer.status_code == 303
    jobs = platform.service(Jobs).listed(SYSTEM)
    assert {(job.tenant, job.selection.where) for job in jobs} == {
        ("default", '(search = "one")'),
        ("b", '(search = "one")'),
    }
    ticked = {"kind": "rotation", "which": "ticked", "device": ["b:two"]}
    assert browser.post("/devices/act", ticked).status_code == 303
    assert platform.service(Jobs).listed(SYSTEM)[0].selection.names == ("two",)
    none = browser.post("/devices/act", {**form, "which": "ticked", "name": "keep-this"})
    assert none.status_code == 422
    assert faults(none.text) == []
    assert "keep-this" in none.text and 'value="one"' in none.text
    bad = browser.post("/devices/act", {**form, "document": "{"})
    assert bad.status_code == 422 and "not JSON" in bad.text


def test_a_viewer_acts_on_nothing(platform: App, browser_of: BrowserOf) -> None:
    add(platform, "one")
    viewer = browser_of("viewer")
    assert "/devices/act" not in viewer.page("/devices").source
    assert viewer.post("/devices/act", {"kind": "rotation", "which": "all"}).status_code == 403
    assert platform.service(Jobs).listed(SYSTEM) == []


def test_another_tenants_devices_are_not_there(platform: App, browser_of: BrowserOf) -> None:
    add(platform, "mine", "a")
    add(platform, "secret", "b")
    browser = browser_of("operator", tenant="a")
    for query in ("", "?q=secret", "?tenant=b", "?by=group", "?col=tenant"):
        page = browser.page(f"/devices{query}")
        assert "secret" not in page.text
    answer = browser.post(
        "/devices/act",
        {"kind": "rotation", "which": "ticked", "device": ["b:secret"]},
    )
    assert answer.status_code in (403, 404)


def test_hostile_texts_are_shown_as_text(platform: App, admin: Browser) -> None:
    for place, text in enumerate(HOSTILE):
        add(platform, f"d{place}", groups=("g",))
        with platform.database.write() as connection:
            connection.exec_driver_sql(
                "UPDATE devices SET label = ? WHERE name = ?", (text[:200], f"d{place}")
            )
    page = admin.page("/devices?col=label&col=type&col=groups&col=username")
    assert "<script>alert(1)</script>" in page.text
    names = ("where", "firmware", "group", "silent", "state", "dialect", "sort", "after", "by")
    for text in HOSTILE:
        for asked in ({"q": text}, {"firmware": text}, dict.fromkeys(names, text)):
            answer = admin.client.get("/devices", params=asked)
            assert answer.status_code == 200, asked
            assert faults(answer.text) == [], asked


def test_a_device_is_added_and_its_password_shown_once(
    platform: App, browser_of: BrowserOf
) -> None:
    add(platform, "first", "a")
    browser = browser_of("operator", tenant="a")
    page = browser.page("/devices/new")
    assert "name" in page.fields("/devices/new")
    answer = browser.post("/devices/new", {"name": "kiln", "dialect": "pulse", "label": "<b>"})
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert "content-encoding" not in answer.headers
    assert faults(answer.text) == []
    assert platform.devices.get(SYSTEM, "a:kiln").label == "<b>"
    again = browser.post("/devices/new", {"name": "kiln", "dialect": "pulse", "label": "kept"})
    assert again.status_code == 409
    assert "already exists" in again.text and "kept" in again.text
    assert browser_of("viewer").get("/devices/new").status_code == 403


def test_a_job_is_watched_paused_and_cancelled(platform: App, browser_of: BrowserOf) -> None:
    add(platform, "one", "a")
    add(platform, "one", "b")
    browser = browser_of("operator", tenant="a")
    done = browser.post("/devices/act", {"kind": "rotation", "which": "all"})
    path = done.headers["location"]
    assert f"{path}/pause" not in browser.page(path).targets  # nothing runs yet
    with platform.database.write() as connection:  # the worker does not run here
        connection.exec_driver_sql("UPDATE jobs SET state = 'running'")
    assert f"{path}/pause" in browser.page(path).targets
    assert "Paused" in browser.do(f"{path}/pause").text
    assert "Running" in browser.do(f"{path}/resume").text
    browser.do(f"{path}/cancel")
    viewer = browser_of("viewer", tenant="a").page(path)
    assert not any(target.startswith("/jobs") for target in viewer.targets)
    for name in ("2", "x", "9" * 40):
        assert browser.get(f"/jobs/{name}").status_code == 404
    assert browser_of("admin", tenant="b").get(path).status_code == 404


def test_a_group_that_only_some_tenants_have_takes_their_devices_and_says_so(
    platform: App, admin: Browser
) -> None:
    add(platform, "one", groups=("cellar",))
    add(platform, "two")
    add(platform, "three", "b")
    ticked = {"into": "cellar", "device": ["default:two", "b:three"]}
    page = admin.do("/devices/group", ticked)
    assert "1 devices added to cellar" in page.text and "Tenant b:" in page.text
    assert admin.post("/devices/group", ticked | {"into": "attic"}).status_code == 404


def test_the_overview_does_not_read_every_certificate_each_time(
    platform: App, admin: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(platform, "one")
    looked: list[str] = []
    real = DeviceCertificates.health

    def health(service: DeviceCertificates, settings: Settings) -> Health:
        looked.append("health")
        return real(service, settings)

    monkeypatch.setattr(DeviceCertificates, "health", health)
    for _ in range(3):
        assert admin.get("/").status_code == 200
    assert looked == ["health"]
