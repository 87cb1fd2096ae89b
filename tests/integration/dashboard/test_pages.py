"""Every page and every action, for each role, for another tenant, and for nobody.

A page or action without a row here fails. Everything of the tenant ``quokka`` carries that word,
and no page may show it to somebody of tenant ``acme``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from mooring.app import App
from mooring.dashboard.pages import ACTIONS, PAGES
from mooring.dashboard.render import TEMPLATES
from mooring.serve.app import create_app
from tests.support import world
from tests.support.dashboard import Browser, person
from tests.support.html import Html, faults

OTHER = "quokka"
NEITHER = frozenset({"error.html", "layout.html", "parts.html"})

# The others answer scripts.
HTML = frozenset(page.path for page in PAGES if page.template)
WHO = ("admin", "operator", "viewer", "tenant admin", "nobody")
# Page → its answers to each of WHO. 303: nobody is sent to sign in.
ROWS = {
    "/": "200 200 200 200 303",
    "/account": "200 200 200 200 303",
    "/alerts": "200 200 200 200 303",
    "/alerts/{number}": "200 200 200 200 303",
    "/audit": "200 403 403 200 303",
    "/broker": "200 200 200 403 303",
    "/certificates": "200 200 200 403 303",
    "/claiming": "200 200 200 200 303",
    "/commands": "200 200 200 200 303",
    "/commands/{number}": "200 200 200 200 303",
    "/devices": "200 200 200 200 303",
    "/devices/{device}": "200 200 200 200 303",
    "/devices/{device}/audit": "200 403 403 200 303",
    "/devices/{device}/chart.csv": "200 200 200 200 303",
    "/devices/{device}/chart.json": "200 200 200 200 303",
    "/devices/{device}/charts": "200 200 200 200 303",
    "/devices/{device}/commands": "200 200 200 200 303",
    "/devices/{device}/connection": "200 200 200 200 303",
    "/devices/{device}/credentials": "200 200 200 200 303",
    "/devices/{device}/firmware": "200 200 200 200 303",
    "/devices/{device}/messages": "200 200 200 200 303",
    "/devices/{device}/settings": "200 200 200 200 303",
    "/devices/new": "200 200 403 200 303",
    "/first-device": "200 200 403 200 303",
    "/flow": "200 200 200 200 303",
    "/groups": "200 200 200 200 303",
    "/groups/{tenant}/{group}": "200 200 200 200 303",
    "/jobs/{job}": "200 200 200 200 303",
    "/map": "200 200 200 200 303",
    "/messages": "200 200 200 200 303",
    "/people": "200 403 403 200 303",
    "/rollouts": "200 200 200 200 303",
    "/rollouts/{rollout}": "200 200 200 200 303",
    "/rules": "200 200 200 200 303",
    "/rules/new": "200 200 403 200 303",
    "/rules/{number}": "200 200 200 200 303",
    "/search": "200 200 200 200 303",
    "/search.json": "200 200 200 200 303",
    "/settings": "200 403 403 403 303",
}
# Action → its answers to a form without any value. 401: nobody signs in over the page.
ACTS = {
    "/account/password": "422 422 422 422 401",
    "/alerts": "422 422 403 422 401",
    "/alerts/{number}/acknowledge": "303 303 403 303 401",
    "/alerts/{number}/assign": "303 303 403 303 401",
    "/alerts/{number}/clear": "303 409 403 409 401",
    "/alerts/{number}/comment": "422 422 403 422 401",
    "/alerts/{number}/severity": "422 422 403 422 401",
    "/alerts/{number}/snooze": "409 409 403 409 401",
    "/broker/users": "422 403 403 403 401",
    "/broker/users/{name}/delete": "422 403 403 403 401",
    "/broker/users/{name}/password": "404 403 403 403 401",
    "/certificates/revoke": "422 422 403 403 401",
    "/certificates/rollover": "422 403 403 403 401",
    "/certificates/rollover/finish": "422 403 403 403 401",
    "/claiming/accept": "404 404 403 404 401",
    "/claiming/new": "422 422 403 422 401",
    "/claiming/refuse": "404 404 403 404 401",
    "/claiming/revoke": "422 422 403 422 401",
    "/claiming/rules": "422 403 403 422 401",
    "/claiming/rules/remove": "422 403 403 422 401",
    "/commands/{number}/cancel": "303 409 403 409 401",
    "/devices/act": "422 422 403 422 401",
    "/devices/group": "422 422 403 422 401",
    "/devices/{device}/certificates": "404 404 403 404 401",
    "/devices/{device}/certificates/{serial}/revoke": "422 422 403 422 401",
    "/devices/{device}/commands": "422 422 403 422 401",
    "/devices/{device}/commands/{number}/cancel": "409 409 403 409 401",
    "/devices/{device}/credentials/rotate": "303 303 403 303 401",
    "/devices/{device}/disable": "422 422 403 422 401",
    "/devices/{device}/enable": "303 303 403 303 401",
    "/devices/{device}/remove": "422 422 403 422 401",
    "/devices/{device}/settings": "422 422 403 422 401",
    "/devices/{device}/settings/adopt": "409 409 403 409 401",
    "/devices/{device}/settings/resend": "303 303 403 303 401",
    "/devices/new": "422 422 403 422 401",
    "/first-device": "422 422 403 422 401",
    "/groups": "422 422 403 422 401",
    "/groups/{tenant}/{group}": "303 303 403 303 401",
    "/groups/{tenant}/{group}/add": "422 422 403 422 401",
    "/groups/{tenant}/{group}/drop": "422 422 403 422 401",
    "/groups/{tenant}/{group}/remove": "422 422 403 422 401",
    "/jobs/{job}/cancel": "303 409 403 409 401",
    "/jobs/{job}/pause": "409 409 403 409 401",
    "/jobs/{job}/resume": "409 409 403 409 401",
    "/jobs/{job}/retry": "409 409 403 409 401",
    "/keys": "422 403 403 422 401",
    "/keys/{prefix}/revoke": "404 403 403 404 401",
    "/messages/resend": "422 422 403 422 401",
    "/people": "422 403 403 422 401",
    "/people/{name}/disabled": "422 403 403 422 401",
    "/people/{name}/password": "404 403 403 404 401",
    "/people/{name}/remove": "422 403 403 422 401",
    "/people/{name}/sessions": "404 403 403 404 401",
    "/rollouts": "422 422 403 422 401",
    "/rollouts/{rollout}/add": "409 409 403 409 401",
    "/rollouts/{rollout}/announce": "422 403 403 403 401",
    "/rollouts/{rollout}/approve": "409 409 403 409 401",
    "/rollouts/{rollout}/cancel": "422 422 403 422 401",
    "/rollouts/{rollout}/pace": "422 422 403 422 401",
    "/rollouts/{rollout}/pause": "409 409 403 409 401",
    "/rollouts/{rollout}/resume": "409 409 403 409 401",
    "/rollouts/{rollout}/retract": "409 403 403 403 401",
    "/rollouts/{rollout}/retry": "409 409 403 409 401",
    "/rules/new": "422 422 403 422 401",
    "/rules/{number}": "422 422 403 422 401",
    "/rules/{number}/remove": "422 422 403 422 401",
    "/rules/{number}/switch": "422 422 403 422 401",
    "/tenants": "422 403 403 403 401",
    "/views": "422 422 422 422 401",
    "/views/remove": "422 422 422 422 401",
}
MINE = {
    "device": "acme:acme-sensor-000",
    "group": "acme-static",
    "job": "1",
    "name": "nobody-at-all",
    "number": "1",
    "serial": "0b0b",
    "prefix": "00000000",
    "rollout": "2",
    "tenant": "acme",
}
THEIRS = {**MINE, "device": f"{OTHER}:{OTHER}-sensor-000", "group": f"{OTHER}-static"}
THEIRS |= {"number": "3", "job": "3", "rollout": "4", "tenant": OTHER, "name": f"{OTHER}-user"}


# What some pages cannot do without.
ASKED = {"/devices/{device}/chart.csv": "?metric=temperature"}
ASKED |= {"/devices/{device}/chart.json": "?metric=temperature"}


def filled(path: str, values: dict[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda place: values[place[1]], path)


@pytest.fixture(scope="module")
def people(shared: App) -> Iterator[dict[str, Browser]]:
    world.fill(shared, "acme", "alpaca")
    world.fill(shared, OTHER, OTHER)
    world.counters(shared)
    api: Any = create_app(shared)
    yield {
        "admin": person(shared, api, "admin"),
        "operator": person(shared, api, "operator"),
        "viewer": person(shared, api, "viewer"),
        "tenant admin": person(shared, api, "admin", "acme"),
        "nobody": Browser(api),
    }


def test_every_page_has_a_row() -> None:
    assert {page.path for page in PAGES} == set(ROWS)
    assert all(len(row.split()) == len(WHO) for row in ROWS.values())


def test_every_action_has_a_row() -> None:
    assert {action.path for action in ACTIONS} == set(ACTS)
    assert all(len(row.split()) == len(WHO) for row in ACTS.values())


@pytest.mark.parametrize("path", sorted(ROWS))
def test_pages(people: dict[str, Browser], path: str) -> None:
    seen = []
    for who in WHO:
        answer = people[who].get(filled(path, MINE) + ASKED.get(path, ""))
        seen.append(str(answer.status_code))
        if path in HTML:
            assert faults(answer.text) == [] or answer.status_code == 303, who
        if who == "tenant admin":
            assert OTHER not in answer.text
    assert " ".join(seen) == ROWS[path]


@pytest.mark.parametrize("path", sorted(ACTS))
def test_actions_without_values(people: dict[str, Browser], path: str) -> None:
    seen = []
    for who in WHO:
        answer = people[who].post(filled(path, MINE), {})
        seen.append(str(answer.status_code))
        assert faults(answer.text) == [] or answer.status_code == 303, who
    assert " ".join(seen) == ACTS[path]


@pytest.mark.parametrize("path", sorted(path for path in ROWS if "{" in path))
def test_a_page_of_another_tenant_is_like_a_missing_one(
    people: dict[str, Browser], path: str
) -> None:
    answer = people["tenant admin"].get(filled(path, THEIRS))
    assert answer.status_code == 404
    missing = people["tenant admin"].get(filled(path, THEIRS | {"number": "99999"}))
    assert missing.status_code == 404


@pytest.mark.parametrize("path", sorted(path for path in ACTS if "{" in path))
def test_nothing_of_another_tenant_can_be_changed(people: dict[str, Browser], path: str) -> None:
    values = {"confirm": THEIRS["group"], "devices": f"{OTHER}-sensor-000", "act": "cancel"}
    values |= {"disabled": "1", "priority": "3"}
    answer = people["tenant admin"].post(filled(path, THEIRS), values)
    assert answer.status_code in {403, 404, 422}
    if answer.status_code == 422:
        assert "remove" in path  # the name was not typed: nothing was looked for
    words = Html(answer.text).text.replace(OTHER + "-", "").replace(OTHER + ":", "")
    words = words.replace(f"tenant {OTHER}.", "")
    assert OTHER not in words.replace(f"no group {OTHER}", "")


@pytest.mark.parametrize("who", WHO[:4])
def test_what_a_person_may_not_do_is_absent(people: dict[str, Browser], who: str) -> None:
    """No link and no form of a page leads to an answer that it is not allowed."""
    column = WHO.index(who)
    may = {path: row.split()[column] for path, row in ROWS.items()}
    acts = {path: row.split()[column] for path, row in ACTS.items()}

    def answer_of(address: str, table: dict[str, str]) -> str:
        for path, answer in table.items():
            if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", path), address):
                return answer
        return "200"

    for path, answer in may.items():
        if answer != "200" or path not in HTML:
            continue
        page = people[who].page(filled(path, MINE))
        for link in page.links:
            assert answer_of(link.partition("?")[0].partition("#")[0], may) != "403", (path, link)
        for target in page.targets:
            assert answer_of(target, acts) != "403", (path, target)


def test_every_template_is_tested(people: dict[str, Browser]) -> None:
    """Each template is of a page in the table, or is named here with the test that shows it."""
    shown_by = {page.template for page in PAGES} | {
        "claim_codes",  # test_actions.py
        "secret",  # test_actions.py
        "sign_in",  # test_frame.py
    }
    shown_by |= {"device/frame"}  # in every page of one device
    pages = TEMPLATES / "pages"
    found = {str(path.relative_to(pages).with_suffix("")) for path in pages.rglob("*.html")}
    assert found == {name for name in shown_by if name}
    assert {path.name for path in TEMPLATES.glob("*.html")} == NEITHER
