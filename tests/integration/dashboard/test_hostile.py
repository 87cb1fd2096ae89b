"""Texts of devices and people on every page: shown as text, whatever they hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from mooring.app import App
from mooring.dashboard import pages
from mooring.identity.actor import SYSTEM
from mooring.serve.app import create_app
from tests.integration.dashboard.test_pages import filled
from tests.support import world
from tests.support.dashboard import Browser, person
from tests.support.html import HOSTILE, Html, faults

# Files and documents for scripts have tests of their own.
PAGES = [page for page in pages.PAGES if page.template]
PLACES = {
    "device": "default:h0",
    "group": "default-static",
    "job": "1",
    "number": "1",
    "rollout": "2",
    "tenant": "default",
}
FORMS = {
    "/claiming/new": ("name", "label", "tenant", "groups"),
    "/claiming/rules": ("pattern", "tenant"),
    "/first-device": ("name", "label", "mac", "tenant"),
    "/groups": ("name", "query", "description", "tenant"),
    "/broker/users": ("name", "note", "publish", "subscribe"),
    "/people": ("name", "tenant"),
    "/keys": ("name", "tenant"),
    "/tenants": ("name",),
    "/views": ("name", "query"),
    "/rollouts": ("value", "waves", "condition", "first", "zone", "begin", "end", "reason"),
    "/certificates/revoke": ("serial",),
}


@pytest.fixture(scope="module")
def admin(shared: App) -> Iterator[Browser]:
    world.fill(shared, "default", HOSTILE[0])
    for n, text in enumerate(HOSTILE):
        world.hostile(shared, "default", text, n)
    api: Any = create_app(shared)
    yield person(shared, api, "admin")


@pytest.mark.parametrize("path", sorted(page.path for page in PAGES))
def test_every_page_shows_them_as_text(admin: Browser, path: str) -> None:
    answer = admin.get(filled(path, PLACES))
    assert answer.status_code == 200, Html(answer.text).text[:600]
    assert faults(answer.text) == []
    page = Html(answer.text)
    assert {tag.name for tag in page.tags} & {"iframe", "b", "object", "embed"} == set()
    shown = [page.text, page.title]
    # What a hidden field sends back, and what says which row it is, has to be the name itself.
    hidden = ("value", "href", "data-id")
    shown += [v for tag in page.tags for k, v in tag.attributes.items() if k not in hidden]
    assert not [word for word in shown if "\u202e" in word or "\u2066" in word]
    assert "49" not in [word for word in page.text.split() if word.startswith("{{")]


@pytest.mark.parametrize("text", HOSTILE)
def test_every_form_keeps_them_as_text(admin: Browser, text: str) -> None:
    for action, names in FORMS.items():
        form = dict.fromkeys(names, text) | {"role": "viewer", "kind": "dynamic", "days": "x"}
        form |= {"dialect": text, "action": text, "count": text}
        answer = admin.post(action, form)
        assert answer.status_code in {200, 303, 409, 404, 422}, (action, answer.status_code)
        assert faults(answer.text) == [] or answer.status_code == 303, action
        if answer.status_code == 303:
            assert faults(admin.get(answer.headers["location"]).text) == []


@pytest.mark.parametrize("text", HOSTILE)
def test_every_address_keeps_them_as_text(admin: Browser, text: str) -> None:
    for page in PAGES:
        names = ("search", "state", "device", "tenant", "after", "before", "changed", "view")
        answer = admin.client.get(filled(page.path, PLACES), params=dict.fromkeys(names, text))
        assert answer.status_code in {200, 404}, (page.path, Html(answer.text).text[:500])
        assert faults(answer.text) == []


def test_one_broken_device_spoils_no_page(shared: App, admin: Browser) -> None:
    from tests.integration.http.rows import say

    device = shared.devices.get(SYSTEM, "default:h1")
    wide = {f"metric_{n}": n for n in range(512)}
    say(shared.database, device, 1_771_000_000_000, wide)
    say(shared.database, device, 1_771_000_000_001, "x" * 1_048_576)
    for page in PAGES:
        answer = admin.get(filled(page.path, PLACES))
        assert answer.status_code == 200, page.path
        assert len(answer.text) < 1_000_000, page.path
