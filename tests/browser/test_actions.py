"""Every form of every page, sent as a person sends it: opened, filled in, its button pressed.

An answer may say that the form is rejected; it has to say so on a page, without an error in the
console. The long walk fails for an action that no page had a form for; ``test_pages`` has a short
one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import pytest
from playwright.sync_api import Locator

from mooring.dashboard.page import particular
from mooring.dashboard.pages import ACTIONS, PAGES
from tests.browser.conftest import Site
from tests.support.browser import Tab
from tests.support.waiting import wait_until

#: What is typed into a field that is needed and empty: by its name, otherwise by its kind.
BY_NAME = {"name": "made-by-hand", "dialect": "mooring"}
#: Texts of several lines, which a browser does not ask for.
AREAS = {"terms": "temperature > 20", "text": "Somebody looks after it."}
#: What is typed instead of the value that a field begins with.
INSTEAD = {"per_day": "1"}
BY_KIND = {"number": "2", "password": "correct horse battery", "email": "a@example.org"}
#: What no form of a page may be answered with.
WRONG = (401, 403, 404, 405)
#: The one that is typed is not the current password, and the page says so.
CURRENT_PASSWORD = ("/account/password", 401)
#: They take away what others need, or end the session.
LAST = (
    "remove",
    "delete",
    "finish",
    "disable",
    "sign-out",
    "sessions",
    "password",
    "revoke",
    "clear",
)
#: Actions whose form is shown only in a state that a fleet which was just started is not in.
ELSEWHERE = {
    # A second button of a form, and what a page has for a certificate whose device still exists.
    "/devices/group",
    "/certificates/revoke",
    "/devices/{device}/certificates/{serial}/revoke",
    # The walk's broker user is rejected; simulated devices answer a command before it is cancelled;
    # a device is disabled just before it is removed.
    "/broker/users/{name}/delete",
    "/broker/users/{name}/password",
    "/commands/{number}/cancel",
    "/devices/{device}/commands/{number}/cancel",
    "/devices/{device}/enable",
    "/rollouts/{rollout}/announce",
    "/rollouts/{rollout}/retract",
    "/devices/{device}/settings/adopt",
    "/devices/{device}/settings/resend",
    "/jobs/{job}/pause",
    "/jobs/{job}/resume",
    "/jobs/{job}/retry",
    "/jobs/{job}/cancel",
    "/rollouts",
    "/rollouts/{rollout}/add",
    "/rollouts/{rollout}/approve",
    "/rollouts/{rollout}/cancel",
    "/rollouts/{rollout}/pace",
    "/rollouts/{rollout}/pause",
    "/rollouts/{rollout}/resume",
    "/rollouts/{rollout}/retry",
}


def of_page(tab: Tab) -> list[str]:
    """Where the forms of the page are sent to."""
    found: list[str] = tab.page.locator("main form[method=post]").evaluate_all(
        """forms => forms.map((one) =>
          new URL(one.getAttribute("action"), location.href).pathname)"""
    )
    return found


def pattern(path: str) -> str:
    """The action's own path: ``/rules/{number}/remove``."""
    for one in sorted(ACTIONS, key=particular):
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", one.path), path):
            return one.path
    return ""


def fill(form: Locator) -> None:
    """What is needed and empty is filled in; a name that is asked for is given."""
    form.evaluate(
        """form => {
          for (let at = form; at; at = at.parentElement) {
            if (at.localName === "details") at.open = true;
          }
          for (const one of form.querySelectorAll("details")) one.open = true;
        }"""
    )
    for field in form.locator("input:visible, textarea:visible").all():
        name, kind = field.get_attribute("name") or "", field.get_attribute("type") or "text"
        if name in INSTEAD:
            field.fill(INSTEAD[name])
        if kind in ("checkbox", "radio", "file", "submit") or field.input_value():
            continue
        if name == "confirm":
            label = form.locator(f"label[for='{field.get_attribute('id')}']").inner_text()
            field.fill(label.removeprefix("Type ").partition(" to confirm")[0])
        elif name in AREAS:
            field.fill(AREAS[name])
        elif field.evaluate("one => one.required || (one.name === 'name' && one.form.terms)"):
            field.fill(BY_NAME.get(name) or BY_KIND.get(kind) or "1")
    ticks = form.locator("tbody input[type=checkbox]:visible")
    if ticks.count():
        ticks.first.check()


def send(tab: Tab, path: str, action: str) -> int:
    """The page's last form for the action (the first person or broker user of a list is the one
    that the platform or the test itself needs), from a fresh page; the status of the answer. 0: the
    page has none any more, because of what was sent before."""
    page = tab.go(path)
    assert "/sign-in" not in page.url, f"the session has ended before {action}"
    targets = [pattern(one) for one in of_page(tab)]
    if action not in targets:
        return 0
    last = len(targets) - 1 - targets[::-1].index(action)
    form = page.locator("main form[method=post]").nth(last)
    fill(form)
    with page.expect_response(lambda one: one.request.method == "POST") as answer:
        form.locator("button:not([type=button])").first.click()
    page.locator("main h1").first.wait_for()
    return int(answer.value.status)


def walk(tab: Tab, paths: Iterable[str]) -> dict[str, int]:
    """Sends every form that these pages have; action → status of the answer."""
    found: dict[str, str] = {}
    for path in paths:
        tab.go(path)
        for target in of_page(tab):
            found.setdefault(pattern(target), path)
    found.pop("", None)
    ordered = sorted(found, key=lambda one: any(word in one for word in LAST))
    answers = {one: send(tab, found[one], one) for one in ordered}
    wrong = {
        one: status
        for one, status in answers.items()
        if (status in WRONG or status >= 500) and (one, status) != CURRENT_PASSWORD
    }
    assert wrong == {}
    return {one: status for one, status in answers.items() if status}


def addresses(site: Site, *, of: str = "") -> list[str]:
    """Pages with forms, of things that exist."""
    device = site.platform.rows("SELECT name FROM devices ORDER BY id LIMIT 1")[0][0]
    of_all = {"device": device, "tenant": "default", "group": "made-by-hand"}
    found = ["/messages?tab=rejected", "/devices?state=online"]
    for page in PAGES:
        known = dict(of_all)
        table = page.path.split("/")[1]
        if "{number}" in page.path and (
            rows := site.platform.rows(f"SELECT id FROM {table} ORDER BY id DESC LIMIT 1")  # noqa: S608
        ):
            known["number"] = str(rows[0][0])
        names = set(re.findall(r"\{(\w+)\}", page.path))
        if page.template and names <= known.keys() and page.path.startswith(of):
            found.append(page.path.format(**known))
    return found


@pytest.mark.soak
def test_every_form_of_every_page(site: Site, tab: Tab) -> None:
    tab.expected += ["the server responded with a status of 4"]
    login = site.platform.add("broken", "mooring")
    site.platform.connect(login).publish(login.topics["telemetry"], b"{not json")
    ours = site.platform.connect()
    for name in ("never-added", "not-added"):
        ours.publish(f"mooring/default/{name}/telemetry", b"{}")
    wait_until(lambda: site.platform.rows("SELECT id FROM dead_letters"), "a dead letter")
    wait_until(
        lambda: len(site.platform.rows("SELECT name FROM strangers")) == 2, "unknown devices"
    )
    answers = walk(tab, addresses(site))
    for _ in range(2):  # pages of what the first walk has made
        answers |= {
            one: status for one, status in walk(tab, addresses(site)).items() if one not in answers
        }
    for one, status in sorted(answers.items()):
        print(f"{status} {one}")
    missing = {one.path for one in ACTIONS} - answers.keys() - ELSEWHERE
    assert missing == set(), sorted(missing)
