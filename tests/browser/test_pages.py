"""Every page in a real browser: no error in the console, nothing against the policy, nothing from
another host, live, readable, usable by keyboard and at 360 px."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Sequence

import pytest

from mooring.dashboard.page import Page
from mooring.dashboard.pages import PAGES
from tests.browser.conftest import Site
from tests.browser.test_actions import walk
from tests.support.browser import Tab

COLOUR = "() => getComputedStyle(document.documentElement).backgroundColor"
PAGES_WITH_HTML = [one for one in PAGES if one.template and "(" not in one.path]


def address(site: Site, page: Page) -> str:
    """A page of something that exists; empty where nothing does."""
    device = site.platform.rows("SELECT name FROM devices ORDER BY id LIMIT 1")[0][0]
    known = {"device": device, "tab": "now"}
    names = re.findall(r"{(\w+)}", page.path)
    if not set(names) <= known.keys():
        return ""
    return page.path.format(**known)


#: What depends on the theme and the width; the rest of axe's rules is about the same markup.
OF_THE_LOOK = ("color-contrast", "scrollable-region-focusable")


def walked(tab: Tab, addresses: list[str], rules: Sequence[str] = ()) -> dict[str, list[str]]:
    """Opens each page, and what axe says of it."""
    found = {}
    for one in addresses:
        tab.go(one)
        if faults := tab.accessibility(rules):
            found[one] = faults
        wide, window = tab.width()
        assert wide <= window, f"{one} scrolls sideways: {wide} > {window}"
    return found


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_is_fine(site: Site, theme: str) -> None:
    addresses = [found for one in PAGES_WITH_HTML if (found := address(site, one))]
    assert "/" in addresses
    size = (1280, 860) if theme == "light" else (360, 740)
    with site.tab(theme=theme, size=size) as tab:
        faults = walked(tab, addresses, OF_THE_LOOK if theme == "dark" else ())
        tab.go("/")
        tab.live()
        tab.check()
    assert faults == {}


def test_a_viewer_and_nobody(site: Site) -> None:
    with site.tab("viewer") as tab:
        tab.go("/")
        tab.live()
        words = tab.page.locator("#nav").inner_text()
        assert "Overview" in words and "People" not in words
        tab.check()
    with site.tab("") as tab:
        page = tab.go("/account")
        assert "/sign-in?next=%2Faccount" in page.url
        page.get_by_label("User name").or_(page.get_by_label("Name")).first.fill("viewer")
        page.get_by_label("Password").fill("correct horse battery")
        page.keyboard.press("Enter")
        page.wait_for_url("**/account")
        tab.check()


def test_by_keyboard_alone(site: Site, tab: Tab) -> None:
    page = tab.go("/account")
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.className") == "skip"
    page.keyboard.press("?")
    page.get_by_role("dialog").get_by_text("Next row").wait_for()
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("o")
    page.wait_for_url(f"{site.base}/")
    page.wait_for_function("() => document.title.startsWith('Overview')")
    assert page.evaluate("() => document.activeElement.id") == "page"
    assert page.locator("#announce").inner_text().startswith("Overview")
    assert page.locator("#nav [aria-current]").inner_text().startswith("Overview")
    page.keyboard.press("/")
    assert page.evaluate("() => document.activeElement.id") == "search"
    page.go_back()
    page.wait_for_function("() => document.title.startsWith('Your account')")


def test_the_look_changes_without_a_reload(tab: Tab) -> None:
    page = tab.go("/")
    page.locator("details.account > summary").click()
    light = page.evaluate(COLOUR)
    page.locator("details.account").get_by_role("button", name="Dark").click()
    page.wait_for_function("() => document.documentElement.classList.contains('theme-dark')")
    assert (
        page.evaluate("() => getComputedStyle(document.documentElement).backgroundColor") != light
    )
    with page.expect_response("**/"):
        page.reload()
    assert page.evaluate("() => document.documentElement.classList.contains('theme-dark')")


def test_some_forms_of_every_kind(site: Site, tab: Tab) -> None:
    tab.expected += ["the server responded with a status of 4"]
    answers = walk(tab, ["/groups", "/claiming"])
    assert answers["/groups"] == 303 and {"/claiming/new", "/claiming/rules"} <= answers.keys()


def test_the_first_device_with_mistakes_on_the_way(site: Site) -> None:
    """By keyboard alone, at 360 px: named, a wrong password, a wrong topic, then a reading. What
    the platform sees of it appears in words, without a reload."""
    with site.tab("operator", size=(360, 740)) as tab:
        page = tab.go("/first-device")
        tab.live()
        page.get_by_label("Name").focus()
        page.keyboard.type("kitchen")
        page.keyboard.press("Enter")
        line = page.locator("mooring-copy pre").first
        line.wait_for()
        tab.live()
        page.evaluate("() => { window.stays = true; }")
        words = shlex.split(line.inner_text())
        given = dict(zip(words[1::2], words[2::2], strict=False))
        assert words[0] == "mosquitto_pub" and given["-u"].endswith("kitchen")
        signs = page.locator("mooring-signs")

        publish(given | {"-P": "not the password"}, fails=True)
        signs.get_by_text("kitchen").get_by_text("wrong password").first.wait_for()
        publish(given | {"-t": "somewhere/else"})
        signs.get_by_text("somewhere/else").first.wait_for()
        publish(given)
        signs.get_by_text("Stored", exact=True).first.wait_for()
        wide, window = tab.width()
        assert wide <= window and page.evaluate("() => window.stays")
        tab.check()


def publish(given: dict[str, str], *, fails: bool = False) -> None:
    """The line that the page shows, with these options."""
    words = ["mosquitto_pub", *(word for pair in given.items() for word in pair)]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    assert (ended.returncode != 0) is fails, ended.stderr
