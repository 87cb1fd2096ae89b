"""What people do on the pages: stored, said, and secrets shown once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from mooring.app import App
from mooring.credentials.claims.service import Claims
from mooring.devices.service import Devices
from mooring.groups.service import Groups
from mooring.identity.actor import SYSTEM
from mooring.serve.app import create_app
from tests.support import world
from tests.support.dashboard import PASSWORD, Browser, person
from tests.support.html import Html, faults

CODE = re.compile(r"[0-9A-Z]{4}-[0-9A-Z]{4}")


@pytest.fixture(scope="module")
def admin(shared: App) -> Iterator[Browser]:
    world.fill(shared, "default", "Kitchen")
    api: Any = create_app(shared)
    yield person(shared, api, "admin")


def secret_page(answer: Any) -> Html:
    """A page that shows a secret: kept nowhere and not compressed."""
    assert answer.status_code == 200, Html(answer.text).text[:800]
    assert answer.headers["cache-control"] == "no-store"
    assert "content-encoding" not in answer.headers
    assert faults(answer.text) == []
    return Html(answer.text)


def test_a_device_is_added_with_lines_to_paste(shared: App, admin: Browser) -> None:
    form = {"name": "oven", "dialect": "smarthome", "label": "Oven", "tenant": "default"}
    page = secret_page(admin.post("/first-device", form))
    device = shared.service(Devices).get(SYSTEM, "default:oven")
    assert device.label == "Oven"
    assert "mosquitto_pub" in page.text and device.username in page.text
    password = re.search(r"-P (\S+)", page.text)
    assert password is not None
    assert password[1] not in admin.get("/first-device").text
    again = admin.post("/first-device", form)
    assert again.status_code == 409
    assert Html(again.text).fields("/first-device")["name"] == "oven"  # kept


def test_what_the_platform_sees_is_said_in_words(admin: Browser) -> None:
    text = admin.page("/first-device").text
    assert "default:default-sensor-000 connected from 10.4.2.1." in text
    assert "wrong password" in text
    assert "temperature 20.5, note Kitchen" in text
    assert "was never added" in text


def test_codes_come_as_a_sheet_of_labels(shared: App, admin: Browser) -> None:
    form = {
        "dialect": "smarthome",
        "tenant": "default",
        "count": "3",
        "days": "2",
        "label": "Shelf",
    }
    page = secret_page(admin.post("/claiming/new", form))
    codes = CODE.findall(page.text)
    assert len(set(codes)) == 3 and len(page.all("svg")) == 3
    assert "Shelf 1" in page.text and "Shelf 3" in page.text
    listed = admin.page("/claiming")
    assert not set(codes) & set(CODE.findall(listed.text))
    claimed = shared.service(Claims).claim(codes[0], "aa:bb:cc:00:00:01")
    assert claimed.credentials.device.label == "Shelf 1"
    assert "Claimed" in admin.page("/claiming").text


def test_a_code_with_a_name_is_for_one_device(admin: Browser) -> None:
    form = {"dialect": "smarthome", "tenant": "default", "count": "3", "days": "2", "name": "one"}
    answer = admin.post("/claiming/new", form)
    assert answer.status_code == 422
    assert "A name is for one device" in Html(answer.text).text
    assert Html(answer.text).fields("/claiming/new")["count"] == "3"


def test_codes_are_revoked(shared: App, admin: Browser) -> None:
    code = shared.service(Claims).page(SYSTEM, limit=1)[0]
    assert "was revoked" in admin.do("/claiming/revoke", {"number": code.id}).text
    assert shared.service(Claims).page(SYSTEM, limit=1)[0].revoked_at is not None
    assert admin.post("/claiming/revoke", {"number": "x"}).status_code == 422


def test_an_unknown_device_is_accepted_or_rejected(admin: Browser) -> None:
    unknown = {"name": "default-stranger", "dialect": "smarthome", "tenant": "default"}
    page = secret_page(admin.post("/claiming/accept", unknown))
    assert len(CODE.findall(page.text)) == 1
    assert "was rejected" in admin.do("/claiming/refuse", unknown).text
    assert admin.post("/claiming/refuse", {**unknown, "name": "none"}).status_code == 404
    for action in ("accept", "refuse"):
        assert admin.post(f"/claiming/{action}", {**unknown, "name": "a\x07"}).status_code == 422


def test_rules_for_unknown_devices(admin: Browser) -> None:
    form = {"action": "accept", "dialect": "smarthome", "tenant": "default"}
    form |= {"pattern": "lamp-*", "per_day": "5"}
    page = secret_page(admin.post("/claiming/rules", form))
    assert "Fleet code" in page.text
    listed = admin.page("/claiming")
    assert "lamp-*" in listed.text and "5 of 5" in listed.text
    number = re.search(r"(\d+) Accepts lamp-\*", listed.text)
    assert number is not None
    assert "was removed" in admin.do("/claiming/rules/remove", {"number": number[1]}).text
    assert admin.post("/claiming/rules", {**form, "per_day": "0"}).status_code == 422


def test_a_group_from_its_creation_to_its_end(shared: App, admin: Browser) -> None:
    form = {"name": "cellar", "tenant": "default", "kind": "static", "priority": "1"}
    assert "was created" in admin.do("/groups", form).text
    there = "/groups/default/cellar"
    added = admin.do(f"{there}/add", {"devices": "default-sensor-001\ndefault-sensor-002"})
    assert "2 devices were added to cellar: stored" in added.text
    wrong = admin.post(f"{there}/add", {"devices": "no-such-device"})
    assert wrong.status_code == 404
    dropped = admin.do(f"{there}/drop", {"devices": "default-sensor-002"})
    assert "1 device was removed from cellar" in dropped.text
    assert "was changed" in admin.do(there, {"description": "Below", "priority": "7"}).text
    refused = admin.post(f"{there}/remove", {"confirm": "cella"})
    assert refused.status_code == 422
    assert "Type cellar to confirm." in Html(refused.text).text
    assert "was removed" in admin.do(f"{there}/remove", {"confirm": "cellar"}).text
    names = {one.group.name for one in shared.service(Groups).page(SYSTEM, "default")}
    assert "cellar" not in names


def test_a_dynamic_group_says_what_is_wrong_with_its_query(admin: Browser) -> None:
    form = {"name": "warm", "tenant": "default", "kind": "dynamic", "priority": "0"}
    assert admin.post("/groups", form).status_code == 422
    answer = admin.post("/groups", {**form, "query": "room = ("})
    assert answer.status_code == 422
    assert Html(answer.text).fields("/groups")["query"] == "room = ("
    assert "The group warm was created" in admin.do("/groups", {**form, "query": "room = *"}).text


def test_a_command_is_cancelled_and_says_so(admin: Browser) -> None:
    assert "Waiting for the device" in admin.page("/commands/1").text
    assert "was cancelled" in admin.do("/commands/1/cancel").text
    again = admin.post("/commands/1/cancel")
    assert again.status_code == 409
    assert "is over" in Html(again.text).text
    assert "No commands." in admin.page("/commands?state=done").text
    assert "Cancelled" in admin.page("/commands?state=nonsense&before=x&device=").text


def test_a_broker_user_from_its_creation_to_its_end(admin: Browser) -> None:
    form = {"name": "bridge", "subscribe": "a/#\nb/+", "publish": "", "note": "Old system"}
    first = secret_page(admin.post("/broker/users", form))
    listed = admin.page("/broker")
    assert "bridge" in listed.text and "a/# b/+" in listed.text
    assert admin.post("/broker/users", form).status_code == 409
    second = secret_page(admin.post("/broker/users/bridge/password"))
    assert first.text != second.text
    assert admin.post("/broker/users/bridge/delete", {"confirm": "no"}).status_code == 422
    assert "stored" in admin.do("/broker/users/bridge/delete", {"confirm": "bridge"}).text
    assert "bridge" not in Html(admin.get("/broker").text).text.split("logins that are not")[1]


def test_a_person_from_the_first_day_to_the_last(shared: App, admin: Browser) -> None:
    page = secret_page(admin.post("/people", {"name": "ada", "role": "viewer", "tenant": ""}))
    password = page.text.split("Password")[1].split()[0]
    assert shared.people.login("ada", password).actor.name == "ada"
    chosen = {"name": "bob", "role": "operator", "tenant": "default", "password": PASSWORD}
    assert "bob was added" in admin.do("/people", chosen).text
    weak = admin.post("/people", {**chosen, "name": "eve", "password": "short"})
    assert weak.status_code == 422 and "short" not in str(Html(weak.text).fields("/people"))
    assert "disabled" in admin.do("/people/ada/disabled", {"disabled": "1"}).text
    assert "enabled" in admin.do("/people/ada/disabled", {"disabled": "0"}).text
    assert "has ended" in admin.do("/people/ada/sessions").text
    secret_page(admin.post("/people/ada/password"))
    assert admin.post("/people/ada/remove", {"confirm": "bob"}).status_code == 422
    assert "ada was removed" in admin.do("/people/ada/remove", {"confirm": "ada"}).text


def test_the_last_administrator_stays(admin: Browser) -> None:
    answer = admin.post("/people/admin-all/disabled", {"disabled": "1"})
    assert answer.status_code == 409
    assert "administrator" in Html(answer.text).text


def test_a_key_is_shown_once_and_revoked(shared: App, admin: Browser) -> None:
    page = secret_page(admin.post("/keys", {"name": "ci", "role": "viewer", "days": "0"}))
    secret = re.search(r"mk_[0-9a-f]{8}_\S+", page.text)
    assert secret is not None
    prefix = secret[0].split("_")[1]
    listed = admin.page("/people")
    assert prefix in listed.text and secret[0] not in listed.source
    assert "was revoked" in admin.do(f"/keys/{prefix}/revoke").text


def test_a_tenant_is_added(shared: App, admin: Browser) -> None:
    assert "The tenant zoo was added" in admin.do("/tenants", {"name": "zoo"}).text
    assert "zoo" in shared.people.tenants(SYSTEM)
    assert admin.post("/tenants", {"name": "zoo"}).status_code == 409
    assert admin.post("/tenants", {"name": "a/b"}).status_code == 422


def test_settings_are_masked_and_say_where_they_come_from(
    admin: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = admin.page("/settings?changed=1")
    assert "data_dir" in page.text and "command line" in page.text
    assert "session_hours" not in page.text
    assert "session_hours" in admin.page("/settings?search=login").text
    assert "No setting matches" in admin.page("/settings?search=zzzz").text
    assert "broker_password" in admin.page("/settings").text


def test_the_audit_says_who_did_it(admin: Browser) -> None:
    text = admin.page("/audit").text
    assert "claim.new" in text and "admin-all" in text and "group.remove" in text
    assert admin.page("/audit?before=2").text
