"""The map: whose devices are on it, where its links lead, what loads from elsewhere."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import sqlalchemy as sa

from mooring.app import App, open_app
from mooring.dashboard.render import POLICY
from mooring.devices.model import NewDevice
from mooring.identity.actor import SYSTEM
from mooring.presence.states.machine import Record, State
from mooring.presence.states.store import pack
from mooring.serve.app import create_app
from mooring.settings import Settings
from mooring.store.schema import device_attributes, devices, presence
from tests.integration.dashboard.conftest import BrowserOf
from tests.support.dashboard import Browser, person
from tests.support.html import HOSTILE, faults

BERLIN, TOKYO = (52.52, 13.405), (35.68, 139.69)


def put(
    platform: App, name: str, at: tuple[float, float], tenant: str = "a", state: str = ""
) -> None:
    device = platform.devices.add(SYSTEM, NewDevice(name, "mooring", tenant))[0].device
    platform.attributes.change(SYSTEM, device.username, {"position": {"lat": at[0], "lon": at[1]}})
    if state:
        with platform.database.write() as connection:
            row = {
                "device_id": device.id,
                "state": state,
                "record": pack(Record(State(state), since=1)),
            }
            connection.execute(sa.delete(presence).where(presence.c.device_id == device.id))
            connection.execute(sa.insert(presence).values(**row))


def test_devices_and_crowds_lead_on(platform: App, browser_of: BrowserOf) -> None:
    for number in range(3):
        put(platform, f"b{number}", (BERLIN[0] + number / 100, BERLIN[1]), state="silent")
    put(platform, "t", TOKYO, state="online")
    platform.devices.add(SYSTEM, NewDevice("nowhere", "mooring", "a"))
    put(platform, "secret", BERLIN, "b")
    viewer = browser_of("viewer", tenant="a")
    page = viewer.page("/map")
    assert "4 devices with a position" in page.text and "secret" not in page.text
    assert "1 device without a position" in page.text
    assert "/devices/a:t" in page.links
    crowd = next(
        tag.attributes["href"]
        for tag in page.all("a")
        if tag.attributes.get("aria-label", "").startswith("3 devices, the worst one silent")
    )
    near = viewer.page(crowd)
    assert "/devices/a:b2" in near.links and "/devices/a:t" not in near.links
    assert int(parse_qs(urlsplit(crowd).query)["zoom"][0]) > 2
    silent = next(href for href in page.links if "state=silent" in href)
    listed = viewer.page(silent)
    assert "3 devices match" in listed.text
    without = next(href for href in page.links if "not+position" in href)
    assert "/devices/a:nowhere" in viewer.page(without).links


def test_filters_are_those_of_the_list(platform: App, browser_of: BrowserOf) -> None:
    put(platform, "one", BERLIN)
    put(platform, "two", TOKYO)
    viewer = browser_of("viewer", tenant="a")
    assert "/map?q=one" in viewer.page("/devices?q=one").links
    page = viewer.page("/map?q=one")
    assert "/devices/a:one" in page.links and "/devices/a:two" not in page.links
    assert "/devices?q=one" in page.links
    assert all("q=one" in href for href in page.links if "zoom=" in href)
    assert "No device with a position matches" in viewer.page("/map?q=three").text
    assert "not valid" in viewer.page("/map?where=((").text


@pytest.mark.parametrize(
    "query",
    [
        *("?at=91,0", "?at=nan,nan", "?at=1e9,2", "?zoom=99", "?at=0,0&zoom=-1"),
        "?at=89.9,179.9&zoom=18",
    ],
)
def test_an_edited_address_opens_the_map(platform: App, admin: Browser, query: str) -> None:
    put(platform, "one", (89.99, -180))
    put(platform, "two", (-90, 180))
    assert "2 devices with a position" in admin.page(f"/map{query}").text


def test_moving_keeps_the_device_in_reach(platform: App, admin: Browser) -> None:
    put(platform, "one", BERLIN)
    page = admin.page("/map")
    ways = {href for href in page.links if "zoom=" in href}
    assert len(ways) == 6
    for href in ways:
        moved = admin.page(href)
        assert "1 device with a position" in moved.text and "/map" in moved.links


def test_an_empty_map_says_how_positions_come(platform: App, admin: Browser) -> None:
    page = admin.page("/map")
    assert "No device has a position." in page.text and not page.all("path")


def test_many_devices_make_a_page_that_is_not_larger(platform: App, admin: Browser) -> None:
    platform.devices.add(SYSTEM, NewDevice("first", "mooring"))
    with platform.database.write() as connection:
        columns = {"tenant": "default", "scope": "default", "dialect": "mooring", "created_at": 1}
        rows = [
            {"id": n, "name": f"d{n}", "username": f"u{n}", "client_id": f"c{n}", **columns}
            for n in range(2, 3002)
        ]
        connection.execute(sa.insert(devices), rows)
        held = [
            {
                "device_id": n,
                "name": "position",
                "key": "",
                "tenant": "default",
                "value": f'{{"lat":{n % 170 - 85},"lon":{n % 359 - 179}}}',
                "source": "person",
                "at": 1,
            }
            for n in range(2, 3002)
        ]
        connection.execute(sa.insert(device_attributes), held)
    answer = admin.get("/map")
    assert answer.status_code == 200 and faults(answer.text) == []
    assert "3,000 devices with a position" in answer.text
    assert len(answer.text) < 300_000, "spots, not devices, and a list of 50"


def test_hostile_names_are_text(platform: App, admin: Browser) -> None:
    put(platform, "one", BERLIN)
    for text in HOSTILE:
        names = ("q", "state", "where", "at", "zoom", "dialect", "group", "silent")
        answer = admin.client.get("/map", params=dict.fromkeys(names, text))
        assert answer.status_code == 200 and faults(answer.text) == [], text


def test_tiles_load_from_the_address_that_is_set_and_from_no_other(settings: Settings) -> None:
    url = "https://tiles.example.org:8443/{z}/{x}/{y}.png?k=1"
    given = Settings(
        data_dir=settings.data_dir,
        database_url=settings.database_url,
        map_tiles_url=url,
        map_tiles_credit="© <b>Somebody</b>",
    )
    with open_app(given, upgrade=True) as platform:
        put(platform, "one", BERLIN)
        api: Any = create_app(platform)
        browser = person(platform, api, "viewer", "a")
        answer = browser.get("/map")
        allowed = "img-src 'self' data: https://tiles.example.org:8443;"
        for path in ("/map", "/", "/devices", "/none-such"):  # htmx keeps the first page's policy
            policy = browser.get(path).headers["content-security-policy"]
            assert policy == POLICY.replace("img-src 'self' data:;", allowed)
        assert 'href="https://tiles.example.org:8443/12/2200/1343.png?k=1"' in answer.text
        assert "© &lt;b&gt;Somebody&lt;/b&gt;" in answer.text and "<path" not in answer.text
