"""Messages, alerts, rules, flow and search: what they show, and what their forms do."""

from __future__ import annotations

import json

import pytest
import sqlalchemy as sa

from mooring.alerts import changes
from mooring.alerts.model import Bounds, Raise, Severity, Source, device_key
from mooring.alerts.rules.service import Rules
from mooring.alerts.service import Alerts
from mooring.alerts.store import Wanted
from mooring.app import App
from mooring.dashboard.data import traffic
from mooring.devices.model import NewDevice
from mooring.identity.actor import SYSTEM, Actor, Role
from mooring.store.engine import now_ms
from mooring.store.schema import dead_letters, messages
from tests.integration.dashboard.conftest import BrowserOf
from tests.support.dashboard import Browser
from tests.support.html import HOSTILE

RULE = {"name": "warm", "terms": "temperature > 30 clear 28\nno data 15m", "match": "any"}
RULE |= {"severity": "error", "for": "5m", "do": "save"}
SEVERAL = ("/messages", "/messages?tab=rejected", "/messages?tab=unknown", "/flow", "/alerts")
SEVERAL = (*SEVERAL, "/rules", "/rules/new", "/search", "/search?q=x")


@pytest.mark.parametrize("path", SEVERAL)
def test_empty_pages_say_what_will_appear(admin: Browser, path: str) -> None:
    page = admin.page(path)
    assert "None" not in page.text and len(page.text) > 100


@pytest.mark.parametrize("path", [path for path in SEVERAL if path != "/rules/new"])
def test_a_viewer_has_no_forms_that_change(browser_of: BrowserOf, path: str) -> None:
    answer = browser_of("viewer").get(path)
    assert answer.status_code == 200
    for word in ("Acknowledge the", "New rule</a>", 'action="/rules', 'action="/alerts"'):
        assert word not in answer.text.replace('method="get" action="/alerts"', "")


def test_rejected_messages_are_resent(admin: Browser, platform: App, browser_of: BrowserOf) -> None:
    device = platform.devices.add(SYSTEM, NewDevice("lamp", "smarthome", "default"))[0].device
    bodies = [json.dumps({"sensors": {"n": n}}).encode() for n in range(4)]
    with platform.database.write() as connection:
        for n, payload in enumerate([*bodies, b"{bad"]):
            row = {"reason": "not_json", "detail": "As it was.", "size": len(payload)}
            topic = "smarthome/default/lamp/telemetry"
            row |= {"received_at": now_ms() + n, "tenant": "default", "device_id": device.id}
            connection.execute(sa.insert(dead_letters).values(payload=payload, topic=topic, **row))
    address = "/messages?tab=rejected"
    assert "Resend the ticked" not in browser_of("viewer").get(address).text
    page = admin.page(address)
    assert page.source.count('name="number"') == 5 and page.fields("/messages/resend") == {
        "reason": ""
    }
    answer = admin.post("/messages/resend", {"which": "ticked"})
    assert answer.status_code == 422 and "No message is ticked." in answer.text
    assert "Rejected messages" in answer.text  # the list is shown again
    one = admin.do("/messages/resend", {"one": "1"})
    assert "1 stored." in one.text
    # Only a page that can be opened again offers rows that came since.
    assert "<mooring-newer" in page.source and "<mooring-newer" not in one.source
    ticked = admin.do("/messages/resend", {"which": "ticked", "number": ["2", "5"]})
    assert "1 stored, 1 rejected again." in ticked.text
    again = admin.do("/messages/resend", {"which": "ticked", "number": ["2"]})
    assert "1 not found." in again.text
    every = admin.do("/messages/resend", {"which": "all", "reason": "not_json"})
    assert "2 stored, 1 rejected again." in every.text
    with platform.database.read() as connection:
        assert connection.execute(sa.select(sa.func.count(messages.c.id))).scalar_one() == 4
    assert admin.page(address).source.count('name="number"') == 1


def test_a_rule_is_tried_added_changed_and_removed(admin: Browser, platform: App) -> None:
    platform.people.add_tenant(SYSTEM, "default")
    rules = platform.service(Rules)
    tried = admin.do("/rules/new", RULE | {"do": "try"})
    assert "this rule would have raised an alert 0 times, on 0 of 0 devices" in tried.text
    assert "temperature &gt; 30 clear 28\nno data 15m</textarea>" in tried.source
    assert rules.listed(SYSTEM) == []
    admin.do("/rules/new", RULE)
    (rule,) = rules.listed(SYSTEM)
    assert (rule.name, rule.definition.every, rule.definition.for_ms) == ("warm", False, 300_000)
    address = f"/rules/{rule.id}"
    fields = admin.page(address).fields(address)
    assert fields["for"] == "300s"
    admin.do(address, fields | RULE | {"terms": "humidity < 5"})
    assert rules.get(SYSTEM, "warm").definition.terms[0].metric == "humidity"
    admin.do(f"{address}/switch", {"on": "no"})
    assert rules.get(SYSTEM, "warm").enabled is False
    assert admin.post(f"{address}/remove", {"confirm": "cold"}).status_code == 422
    admin.do(f"{address}/remove", {"confirm": "warm"})
    assert rules.listed(SYSTEM) == []


def test_what_the_form_does_not_show_stays(admin: Browser, platform: App) -> None:
    platform.people.add_tenant(SYSTEM, "default")
    rules = platform.service(Rules)
    document = {
        "terms": [{"metric": "t", "operator": ">", "value": 1}],
        "steps": [{"value": 9, "severity": "critical"}],
        "schedule": {"days": ["mon"], "from": "08:00", "to": "09:00", "zone": "UTC"},
    }
    made = rules.add(SYSTEM, "stepped", document)
    address = f"/rules/{made.id}"
    page = admin.page(address)
    assert "critical from 9 on; only mon from 08:00 to 09:00 (UTC)" in page.text
    more = RULE | {"terms": "t > 1", "text": "Look at it."}
    admin.do(address, page.fields(address) | more)
    now = rules.get(SYSTEM, "stepped").document
    assert now["steps"] == made.document["steps"] and now["schedule"] == made.document["schedule"]
    assert now["text"] == "Look at it."


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("terms", "", "Condition is missing."),
        ("terms", "hot", "is not a term"),
        ("for", "soon", "soon"),
        ("severity", "dire", "Severity"),
    ],
)
def test_a_wrong_rule_is_said_at_its_field(
    admin: Browser, field: str, value: str, said: str
) -> None:
    answer = admin.post("/rules/new", RULE | {field: value})
    assert answer.status_code == 422 and said in answer.text and "warm" in answer.text


def test_hostile_texts_in_a_rule_are_text(admin: Browser) -> None:
    for text in HOSTILE:
        answer = admin.post("/rules/new", RULE | {"terms": text, "text": text, "device": text})
        assert answer.status_code in (303, 404, 409, 422)
        admin.page(f"/search?q={text}"[:200])


def test_an_alert_and_what_one_does_about_it(admin: Browser, platform: App) -> None:
    number = raised(platform)
    address = f"/alerts/{number}"
    assert "valve" in admin.page("/alerts").text
    admin.do(f"{address}/acknowledge")
    admin.do(f"{address}/comment", {"text": "on my way"})
    admin.do(f"{address}/snooze", {"time": "4h"})
    admin.do(f"{address}/severity", {"severity": "critical"})
    admin.do(f"{address}/assign", {"assignee": "admin-all"})
    page = admin.page(address)
    for word in ("Acknowledged", "on my way", "snoozed until", "Critical", "admin-all"):
        assert word in page.text, word
    assert admin.post(f"{address}/snooze", {"time": "9y"}).status_code == 422
    for digits in (19, 5000):
        assert admin.post("/alerts", {"do": "clear", "number": "9" * digits}).status_code == 422
    twice = admin.do("/alerts", {"do": "clear", "number": [str(number), str(number)]})
    assert "1 alert was cleared" in twice.text
    assert platform.service(Alerts).get(SYSTEM, number).open is False
    assert admin.post("/alerts", {"do": "clear"}).status_code == 422
    assert admin.get("/alerts/99").status_code == 404
    assert admin.get("/alerts/x").status_code == 404


def raised(platform: App) -> int:
    """An alert that a device reports."""
    platform.devices.add(SYSTEM, NewDevice("kitchen", "mooring", "default"))
    device = platform.devices.get(SYSTEM, "kitchen")
    raise_ = Raise(
        device_key(device.id, "valve"),
        "default",
        device.id,
        Source.DEVICE,
        "valve",
        Severity.WARNING,
        now_ms(),
    )
    with platform.database.write() as connection:
        changes.apply(connection, [raise_], Bounds())
    return platform.service(Alerts).listed(SYSTEM, Wanted())[0].id


def test_search_finds_devices_topics_and_pages(
    admin: Browser, browser_of: BrowserOf, platform: App
) -> None:
    new = NewDevice("kitchen-1", "mooring", "default", label="Über dem Herd")
    platform.devices.add(SYSTEM, new)
    device = platform.devices.get(SYSTEM, "kitchen-1")

    def found(text: str, who: Browser = admin) -> list[tuple[str, str]]:
        answer = who.get(f"/search.json?q={text}")
        assert answer.status_code == 200
        return [(one["kind"], one["word"]) for one in json.loads(answer.text)]

    for text in ("kitchen", "Herd", device.username):
        assert ("device", "kitchen-1") in found(text), text
    topic = next(iter(platform.devices.topics(device).values()))
    assert ("topic", topic) in found(topic)
    assert ("page", "Messages") in found("mess")
    assert found("") == [] and found("nothing-like-this") == []
    platform.people.add_tenant(SYSTEM, "other")
    assert found("kitchen", browser_of("viewer", "other")) == []
    assert "kitchen-1" in admin.page("/search?q=kitchen").text


def test_flow_counts_what_is_stored(platform: App) -> None:
    with platform.database.read() as connection:
        found = traffic.traffic(connection, SYSTEM)
        assert (found.since, found.messages, found.stored, found.rejected) == (None, 0, [], {})
        assert traffic.newest(connection, Actor("eve", Role.VIEWER, "other")) == []
